using Harbour.Subscriptions;

namespace Harbour.Tests.Subscriptions;

public sealed class InvoiceTests
{
    [Fact]
    public void Attempts_come_at_once_then_after_1_25_and_97_hours_and_the_fourth_failure_is_the_last()
    {
        Assert.Equal(
            [0, 1, 25, 97], Enumerable.Range(0, 4).Select(n => (Given.Failed(n).NextAttemptAt!.Value - Given.Now).TotalHours));
        Assert.All(Enumerable.Range(0, 4), n => Assert.Equal(InvoiceStatus.Open, Given.Failed(n).Status));

        var given = Given.Failed(4);
        Assert.Equal((InvoiceStatus.Uncollectible, (DateTimeOffset?)null), (given.Status, given.NextAttemptAt));
        Assert.Equal([1, 2, 3, 4], given.Attempts.Select(a => a.Number));
        Assert.Equal(4, given.Attempts.Select(a => a.Charge).Distinct().Count());
    }

    [Fact]
    public void The_wait_counts_from_the_attempt_and_not_from_when_its_outcome_was_known()
    {
        var invoice = Given.Invoice().Attempting(Given.Charge(), Given.Now).Failed("not_processed", null, Given.Now.AddMinutes(15));
        Assert.Equal(Given.Now.AddHours(1), invoice.NextAttemptAt);
    }

    [Theory]
    [InlineData("card_declined", "stolen_card", true)]
    [InlineData("card_declined", "lost_card", true)]
    [InlineData("card_declined", "pickup_card", true)]
    [InlineData("card_declined", "revocation_of_all_authorizations", true)]
    [InlineData("card_declined", "fraudulent", true)]
    [InlineData("mandate_not_active", null, true)]
    [InlineData("card_authentication_required", "authentication_required", true)]
    [InlineData("risk_blocked", null, true)]
    [InlineData("card_declined", "generic_decline", false)]
    [InlineData("insufficient_funds", "insufficient_funds", false)]
    [InlineData("card_declined", null, false)]
    [InlineData("expired_card", "expired_card", false)]
    [InlineData("not_processed", null, false)]
    public void A_refusal_that_cannot_heal_ends_it_at_once(string code, string? declineCode, bool final)
    {
        var invoice = Given.Invoice().Attempting(Given.Charge(), Given.Now).Failed(code, declineCode, Given.Now);
        Assert.Equal(final ? InvoiceStatus.Uncollectible : InvoiceStatus.Open, invoice.Status);
        Assert.Equal(final, invoice.NextAttemptAt is null);
        Assert.Equal(declineCode ?? code, invoice.Attempts[^1].FailureCode);
    }

    [Fact]
    public void An_attempt_that_was_never_made_does_not_count()
    {
        var invoice = Given.Failed(1).Attempting(Given.Charge(), Given.Now.AddHours(1)).NotAttempted(Given.Now.AddHours(1));
        Assert.Single(invoice.Attempts);
        Assert.Equal(Given.Now.AddHours(1) + Invoice.AskAgainAfter, invoice.NextAttemptAt);
        Assert.Null(invoice.UnderWay);
    }

    [Fact]
    public void One_attempt_is_under_way_at_a_time()
    {
        var invoice = Given.Invoice().Attempting(Given.Charge(), Given.Now);
        Assert.Throws<InvalidOperationException>(() => invoice.Attempting(Given.Charge(), Given.Now));
        Assert.Throws<InvalidOperationException>(() => invoice.Succeeded(Given.Now).Attempting(Given.Charge(), Given.Now));
        Assert.Throws<InvalidOperationException>(() => Given.Failed(4).Attempting(Given.Charge(), Given.Now));
        Assert.Throws<InvalidOperationException>(() => invoice.Succeeded(Given.Now).Failed("card_declined", null, Given.Now));
    }

    [Fact]
    public void What_is_paid_has_no_next_attempt_and_says_which_charge_paid()
    {
        var charge = Given.Charge();
        var invoice = Given.Failed(2).Attempting(charge, Given.Now.AddHours(25)).Succeeded(Given.Now.AddHours(25));
        Assert.Equal((InvoiceStatus.Paid, (DateTimeOffset?)null, "invoice.paid"), (invoice.Status, invoice.NextAttemptAt, invoice.Event));
        Assert.Equal((charge, AttemptStatus.Succeeded, (string?)null), (invoice.Attempts[^1].Charge, invoice.Attempts[^1].Status, invoice.Attempts[^1].FailureCode));
    }
}
