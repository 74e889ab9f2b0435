using Harbour.Foundation;
using Harbour.Subscriptions;

namespace Harbour.Tests.Subscriptions;

public sealed class SubscriptionTests
{
    private static readonly DateTimeOffset Now = Given.Now;
    private static readonly Ids Ids = new(TimeProvider.System);

    public static TheoryData<SubscriptionStatus, bool, bool, bool> Changes => new()
    {
        // status, may be paused, resumed, cancelled
        { SubscriptionStatus.Trialing, true, false, true },
        { SubscriptionStatus.Active, true, false, true },
        { SubscriptionStatus.PastDue, true, false, true },
        { SubscriptionStatus.Unpaid, false, true, true },
        { SubscriptionStatus.Paused, false, true, true },
        { SubscriptionStatus.Canceled, false, false, false },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void What_a_merchant_may_do_depends_on_the_status(SubscriptionStatus status, bool pause, bool resume, bool cancel)
    {
        var subscription = Given.Subscription(status);
        Expect(pause, subscription.Pause(Now));
        Expect(resume, subscription.Resume(null, Now));
        Expect(cancel, subscription.Cancel(atPeriodEnd: false, Now));
        Expect(cancel, subscription.Cancel(atPeriodEnd: true, Now));
        Expect(cancel, subscription.Update(null, "other", null, Now));

        static void Expect(bool possible, Result<Subscription> result) => Assert.Equal(possible ? null : "invalid_transition", result.Error?.Code);
    }

    public static TheoryData<SubscriptionStatus, InvoiceStatus, SubscriptionStatus, string?> Invoices => new()
    {
        { SubscriptionStatus.Active, InvoiceStatus.Paid, SubscriptionStatus.Active, null },
        { SubscriptionStatus.Active, InvoiceStatus.Open, SubscriptionStatus.PastDue, "subscription.past_due" },
        { SubscriptionStatus.Active, InvoiceStatus.Uncollectible, SubscriptionStatus.Unpaid, "subscription.unpaid" },
        { SubscriptionStatus.PastDue, InvoiceStatus.Paid, SubscriptionStatus.Active, null },
        { SubscriptionStatus.PastDue, InvoiceStatus.Open, SubscriptionStatus.PastDue, null },
        { SubscriptionStatus.PastDue, InvoiceStatus.Uncollectible, SubscriptionStatus.Unpaid, "subscription.unpaid" },
        { SubscriptionStatus.Paused, InvoiceStatus.Paid, SubscriptionStatus.Paused, null },
        { SubscriptionStatus.Paused, InvoiceStatus.Open, SubscriptionStatus.Paused, null },
        { SubscriptionStatus.Paused, InvoiceStatus.Uncollectible, SubscriptionStatus.Unpaid, "subscription.unpaid" },
        { SubscriptionStatus.Canceled, InvoiceStatus.Paid, SubscriptionStatus.Canceled, null },
        { SubscriptionStatus.Canceled, InvoiceStatus.Uncollectible, SubscriptionStatus.Canceled, null },
        { SubscriptionStatus.Canceled, InvoiceStatus.Void, SubscriptionStatus.Canceled, null },
    };

    [Theory]
    [MemberData(nameof(Invoices))]
    public void What_becomes_of_an_invoice_becomes_of_its_subscription(SubscriptionStatus before, InvoiceStatus invoice, SubscriptionStatus expected, string? @event)
    {
        var after = Given.Subscription(before).After(Given.Failed(1) with { Status = invoice }, Now);
        Assert.Equal((expected, @event), (after.Status, after.EventAfter(before)));
        Assert.Equal(before == expected ? 1 : 2, after.Version);
    }

    [Fact]
    public void An_attempt_that_was_never_made_makes_nobody_past_due()
    {
        var invoice = Given.Invoice().Attempting(Given.Charge(), Now).NotAttempted(Now);
        Assert.Equal(SubscriptionStatus.Active, Given.Subscription().After(invoice, Now).Status);
    }

    [Fact]
    public void A_trial_is_counted_in_civil_days_and_the_first_period_begins_after_it()
    {
        var id = Ids.New<Subscription>();
        var subscription = Subscription.Create(id, Mode.Test, Given.Request(trialDays: 14), "req_1", id.MadeAt);
        Assert.Equal((SubscriptionStatus.Trialing, id.MadeAt.AddDays(14), id.MadeAt.AddDays(14)), (subscription.Status, subscription.TrialEnd, subscription.PeriodEnd));

        var begun = subscription.Begin(Ids.New<Invoice>(), id.MadeAt.AddDays(14));
        Assert.Equal((SubscriptionStatus.Active, id.MadeAt.AddDays(14)), (begun.Status, begun.PeriodStart));
        Assert.Equal(new Interval(IntervalUnit.Month, 1).After(begun.PeriodStart, 1), begun.PeriodEnd);
    }

    [Fact]
    public void A_later_start_waits_without_a_trial()
    {
        var subscription = Subscription.Create(Ids.New<Subscription>(), Mode.Test, Given.Request(Now.AddDays(3)), "req_1", Now);
        Assert.Equal((SubscriptionStatus.Trialing, (DateTimeOffset?)null, Now.AddDays(3)), (subscription.Status, subscription.TrialEnd, subscription.PeriodEnd));
    }

    [Fact]
    public void Periods_follow_each_other_without_a_gap()
    {
        var subscription = Given.Subscription();
        for (var i = 0; i < 40; i++)
        {
            var next = subscription.Begin(Ids.New<Invoice>(), subscription.PeriodEnd);
            Assert.Equal(subscription.PeriodEnd, next.PeriodStart);
            subscription = next;
        }
    }

    [Fact]
    public void Resumed_within_the_paid_period_it_goes_on_as_it_was()
    {
        var before = Given.Subscription();
        Assert.True(Given.Subscription(SubscriptionStatus.Paused).Resume(Given.Invoice() with { Status = InvoiceStatus.Paid }, Now.AddDays(5)).Ok(out var resumed, out _));
        Assert.Equal((SubscriptionStatus.Active, before.PeriodStart, before.PeriodEnd), (resumed.Status, resumed.PeriodStart, resumed.PeriodEnd));
        Assert.Equal("subscription.resumed", resumed.EventAfter(SubscriptionStatus.Paused));
    }

    [Fact]
    public void Resumed_later_it_begins_a_new_period_then()
    {
        var later = Now.AddDays(90);
        Assert.True(Given.Subscription(SubscriptionStatus.Paused).Resume(Given.Invoice() with { Status = InvoiceStatus.Paid }, later).Ok(out var resumed, out _));
        Assert.IsType<RenewalStep.Begin>(Renewal.Next(resumed, null, later));
        var begun = resumed.Begin(Ids.New<Invoice>(), later);
        Assert.Equal((later, new Interval(IntervalUnit.Month, 1).After(later, 1)), (begun.PeriodStart, begun.PeriodEnd));
    }

    [Fact]
    public void Resumed_with_an_open_invoice_its_retries_go_on()
    {
        var invoice = Given.Failed(2);
        Assert.True(Given.Subscription(SubscriptionStatus.Paused).Resume(invoice, Now.AddDays(1)).Ok(out var resumed, out _));
        Assert.Equal(SubscriptionStatus.PastDue, resumed.Status);
        Assert.Equal(new RenewalStep.Wait(invoice.NextAttemptAt), Renewal.Next(resumed, invoice, Now.AddHours(2)));
    }

    [Fact]
    public void Resumed_after_its_period_nothing_old_is_owed()
    {
        var paused = Given.Subscription(SubscriptionStatus.Paused) with { CancelAtPeriodEnd = true };
        Assert.True(paused.Resume(Given.Failed(2), Now.AddDays(40)).Ok(out var resumed, out _));
        Assert.Equal((SubscriptionStatus.Active, Now.AddDays(40), false), (resumed.Status, resumed.Anchor, resumed.CancelAtPeriodEnd));
        Assert.True(resumed.Forgives(paused));
        Assert.Equal("concurrent_update", paused.Resume(Given.Invoice().Attempting(Given.Charge(), Now), Now.AddDays(40)).Error?.Code);
    }

    [Fact]
    public void A_change_of_nothing_is_none() => Assert.Equal(1, Given.Subscription().Update(null, null, null, Now).Value.Version);

    [Fact]
    public void An_unpaid_one_that_is_resumed_starts_anew_even_within_the_period_that_was_not_paid()
    {
        Assert.True(Given.Subscription(SubscriptionStatus.Unpaid).Resume(Given.Failed(4), Now.AddDays(5)).Ok(out var resumed, out _));
        Assert.Equal((SubscriptionStatus.Active, Now.AddDays(5)), (resumed.Status, resumed.Anchor));
        Assert.IsType<RenewalStep.Begin>(Renewal.Next(resumed, Given.Failed(4), Now.AddDays(5)));
    }
}
