using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Sandbox.Providers;

namespace Harbour.Tests.Providers;

/// <summary>
/// What every provider's connector must do, whatever the provider: one suite runs against all. A test class per provider derives from
/// it and says which tokens approve, decline and fall silent, and what the simulated provider believes.
/// </summary>
public abstract class ProviderContract : IAsyncLifetime
{
    private int made;

    protected abstract IProvider Provider { get; }

    /// <summary>The same connector to the same simulated provider, with a deadline that a test can wait for.</summary>
    protected abstract IProvider Impatient { get; }
    protected abstract TimeProvider Time { get; }
    protected abstract string Approves { get; }
    protected abstract string Declines { get; }

    /// <summary>A token that the provider charges without ever answering, and one that it neither charges nor answers.</summary>
    protected abstract string TakesAndHangs { get; }
    protected abstract string Hangs { get; }

    /// <summary>A token that works with the payer there, and is declined once without.</summary>
    protected abstract string DeclinesOffSessionOnce { get; }

    /// <summary>A token that the provider charges and answers with an error of its own, and one for which it has no time.</summary>
    protected abstract string TakesAndFails { get; }
    protected abstract string Busy { get; }

    protected abstract IReadOnlyList<SimulatedPayment> Taken();
    protected abstract Task GoDownAsync(bool down);

    public abstract Task InitializeAsync();
    public abstract Task DisposeAsync();

    protected ProviderCharge Charge(string token, long amount = 12800, bool captureNow = true, Mode mode = Mode.Test) => new(
        $"ch_{++made:D26}", mode, new Money(amount, Currency.HKD), "card", token, captureNow, ThreeDSecureRequest.Automatic, "mch_one", "A test", null, "req-test");

    protected Task<ProviderOutcome> CreateAsync(ProviderCharge charge) => Provider.CreateAsync(charge, CancellationToken.None);

    protected async Task<ProviderPayment> TakeAsync(ProviderCharge charge) =>
        Assert.IsType<ProviderOutcome.Known>(await CreateAsync(charge)).Payment;

    protected Task<ProviderOutcome> FindAsync(ProviderCharge charge, string? reference = null) =>
        Provider.FindAsync(new(charge.Charge, charge.Mode, reference, Time.GetUtcNow(), Time.GetUtcNow().AddMinutes(15), "req-find"), CancellationToken.None);

    [Fact]
    public async Task An_approved_charge_is_known_as_succeeded_and_found_by_our_id_and_by_reference()
    {
        var charge = Charge(Approves);
        var payment = await TakeAsync(charge);

        Assert.Equal(ProviderStatus.Succeeded, payment.Status);
        Assert.Equal(charge.Amount, payment.Amount);
        Assert.Equal(charge.Amount, payment.Captured);
        Assert.Equal("4242", payment.Card?.Last4);
        Assert.Equal(payment, Assert.IsType<ProviderOutcome.Known>(await FindAsync(charge)).Payment);
        Assert.Equal(payment, Assert.IsType<ProviderOutcome.Known>(await FindAsync(charge, payment.Reference)).Payment);
        Assert.Equal(charge.Charge, Assert.Single(Taken()).Charge);
    }

    [Fact]
    public async Task The_same_charge_sent_twice_is_one_payment()
    {
        var charge = Charge(Approves);
        Assert.Equal(await TakeAsync(charge), await TakeAsync(charge));
        Assert.Single(Taken());
    }

    [Fact]
    public async Task The_same_charge_sent_by_many_at_once_is_one_payment()
    {
        var charge = Charge(Approves);
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => CreateAsync(charge)));

        Assert.All(outcomes, outcome => Assert.True(outcome is ProviderOutcome.Known or ProviderOutcome.Unknown, outcome.ToString()));
        Assert.Single(Taken());
    }

    [Fact]
    public async Task A_decline_is_refused_with_the_issuers_reason_and_takes_nothing()
    {
        var charge = Charge(Declines);
        var refused = Assert.IsType<ProviderOutcome.Refused>(await CreateAsync(charge));

        Assert.Equal("card_declined", refused.Code);
        Assert.Equal("generic_decline", refused.DeclineCode);
        Assert.All(Taken(), payment => Assert.Equal("failed", payment.Status));
        Assert.All(Taken(), payment => Assert.Equal(0, payment.AmountCaptured));
    }

    [Fact]
    public async Task What_was_never_sent_is_absent() => Assert.IsType<ProviderOutcome.Absent>(await FindAsync(Charge(Approves)));

    [Fact]
    public async Task A_charge_that_is_taken_in_silence_is_unknown_and_found_later()
    {
        var charge = Charge(TakesAndHangs);
        await TakeAsync(Charge(Approves));
        Assert.IsType<ProviderOutcome.Unknown>(await Impatient.CreateAsync(charge, CancellationToken.None));
        Assert.Equal(ProviderStatus.Succeeded, Assert.IsType<ProviderOutcome.Known>(await FindAsync(charge)).Payment.Status);
    }

    [Fact]
    public async Task A_charge_that_is_lost_in_silence_is_unknown_and_then_absent()
    {
        var charge = Charge(Hangs);
        await TakeAsync(Charge(Approves));
        Assert.IsType<ProviderOutcome.Unknown>(await Impatient.CreateAsync(charge, CancellationToken.None));
        Assert.IsType<ProviderOutcome.Absent>(await FindAsync(charge));
    }

    [Fact]
    public async Task A_charge_that_is_taken_with_an_error_is_unknown_and_found_later()
    {
        var charge = Charge(TakesAndFails);
        Assert.IsType<ProviderOutcome.Unknown>(await CreateAsync(charge));
        Assert.IsType<ProviderOutcome.Unknown>(await CreateAsync(charge));
        Assert.IsType<ProviderOutcome.Known>(await FindAsync(charge));
        Assert.Single(Taken());
    }

    [Fact]
    public async Task A_provider_without_time_was_not_attempted()
    {
        Assert.IsType<ProviderOutcome.NotAttempted>(await CreateAsync(Charge(Busy)));
        Assert.Empty(Taken());
    }

    [Fact]
    public async Task A_provider_that_is_down_was_not_attempted_and_takes_the_same_charge_once_when_it_is_back()
    {
        var charge = Charge(Approves);
        await GoDownAsync(true);
        Assert.IsType<ProviderOutcome.NotAttempted>(await CreateAsync(charge));
        Assert.IsType<ProviderOutcome.NotAttempted>(await FindAsync(charge));

        await GoDownAsync(false);
        Assert.Equal(ProviderStatus.Succeeded, (await TakeAsync(charge)).Status);
        Assert.Single(Taken());
    }

    [Fact]
    public async Task A_call_that_is_cancelled_before_it_is_sent_was_not_attempted()
    {
        Assert.IsType<ProviderOutcome.NotAttempted>(await Provider.CreateAsync(Charge(Approves), new CancellationToken(canceled: true)));
        Assert.Empty(Taken());
    }

    [Fact]
    public async Task The_modes_do_not_see_each_other()
    {
        var charge = Charge(Approves, mode: Mode.Live);
        var payment = await TakeAsync(charge);

        Assert.IsType<ProviderOutcome.Absent>(await FindAsync(charge with { Mode = Mode.Test }));
        Assert.IsType<ProviderOutcome.Absent>(await FindAsync(charge with { Mode = Mode.Test }, payment.Reference));
        Assert.IsType<ProviderOutcome.Known>(await FindAsync(charge));
    }

    [Fact]
    public async Task A_refund_is_made_once_for_its_id_and_found_by_it()
    {
        var payment = await TakeAsync(Charge(Approves));
        var refund = new ProviderRefund("re_one", Mode.Test, payment.Reference, new Money(5000, Currency.HKD), "requested_by_customer", "req-refund");
        var first = Assert.IsType<ProviderOutcome.KnownRefund>(await Provider.RefundAsync(refund, CancellationToken.None)).Refund;

        Assert.Equal(ProviderRefundStatus.Succeeded, first.Status);
        Assert.Equal(refund.Amount, first.Amount);
        Assert.Equal(first, Assert.IsType<ProviderOutcome.KnownRefund>(await Provider.RefundAsync(refund, CancellationToken.None)).Refund);
        Assert.Equal(first, Assert.IsType<ProviderOutcome.KnownRefund>(await FindRefundAsync("re_one", payment)).Refund);
        Assert.IsType<ProviderOutcome.Absent>(await FindRefundAsync("re_other", payment));
        Assert.Equal(5000, Assert.Single(Taken()).AmountRefunded);
    }

    [Fact]
    public async Task Refunds_never_exceed_what_was_captured_however_many_come_at_once()
    {
        var payment = await TakeAsync(Charge(Approves, 10000));
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Provider.RefundAsync(
            new($"re_{i}", Mode.Test, payment.Reference, new Money(1000, Currency.HKD), null, "req-refund"), CancellationToken.None)));

        Assert.Equal(10, outcomes.Count(outcome => outcome is ProviderOutcome.KnownRefund));
        Assert.Equal(10, outcomes.Count(outcome => outcome is ProviderOutcome.Refused));
        Assert.Equal(10000, Assert.Single(Taken()).AmountRefunded);
    }

    [Fact]
    public async Task A_customer_is_made_once_for_its_id()
    {
        var first = await CustomerAsync("cus_one");
        Assert.Equal(first, await CustomerAsync("cus_one"));
        Assert.NotEqual(first, await CustomerAsync("cus_two"));
    }

    [Fact]
    public async Task A_payment_that_stores_its_method_is_charged_again_without_the_payer()
    {
        var first = Charge(Approves) with { StoreFor = await CustomerAsync("cus_one") };
        var stored = (await TakeAsync(first)).Stored!;
        Assert.Equal(first.StoreFor, stored.Customer);
        Assert.Equal(stored, Assert.IsType<ProviderOutcome.Known>(await FindAsync(first)).Payment.Stored);

        var later = Again(stored);
        var payment = await TakeAsync(later);
        Assert.Equal((ProviderStatus.Succeeded, later.Amount, "4242"), (payment.Status, payment.Captured, payment.Card?.Last4));
        Assert.Equal(payment, await TakeAsync(later));
        Assert.Equal(2, Taken().Count);
        Assert.Null((await TakeAsync(Charge(Approves))).Stored);
    }

    [Fact]
    public async Task A_method_is_stored_without_taking_money_and_charged_later()
    {
        var setup = await SetupAsync("man_one", Approves);
        var state = Assert.IsType<ProviderOutcome.KnownSetup>(await Provider.SetUpAsync(setup, CancellationToken.None)).Setup;
        Assert.Equal((ProviderSetupStatus.Succeeded, "4242"), (state.Status, state.Card?.Last4));
        Assert.Empty(Taken());
        Assert.Equal(state, Assert.IsType<ProviderOutcome.KnownSetup>(await Provider.SetUpAsync(setup, CancellationToken.None)).Setup);
        Assert.Equal(state, Assert.IsType<ProviderOutcome.KnownSetup>(await Provider.FindSetupAsync(new(state.Reference, Mode.Test, "req-find"), CancellationToken.None)).Setup);
        Assert.Equal(ProviderStatus.Succeeded, (await TakeAsync(Again(state.Stored!))).Status);
    }

    [Fact]
    public async Task A_method_that_is_refused_is_not_stored()
    {
        var refused = Assert.IsType<ProviderOutcome.Refused>(await Provider.SetUpAsync(await SetupAsync("man_one", Declines), CancellationToken.None));
        Assert.Equal(("card_declined", "generic_decline"), (refused.Code, refused.DeclineCode));
        Assert.Equal("payment_method_invalid", Assert.IsType<ProviderOutcome.Refused>(await Provider.SetUpAsync(await SetupAsync("man_two", "tok_nobody"), CancellationToken.None)).Code);
        Assert.IsType<ProviderOutcome.NotAttempted>(await Provider.SetUpAsync(await SetupAsync("man_three", Busy), CancellationToken.None));
        Assert.IsType<ProviderOutcome.Unknown>(await Impatient.SetUpAsync(await SetupAsync("man_four", Hangs), CancellationToken.None));
    }

    [Fact]
    public async Task A_decline_without_the_payer_counts_once_for_its_charge()
    {
        var stored = (await TakeAsync(Charge(DeclinesOffSessionOnce) with { StoreFor = await CustomerAsync("cus_one") })).Stored!;
        var declined = Again(stored);
        Assert.Equal("card_declined", Assert.IsType<ProviderOutcome.Refused>(await CreateAsync(declined)).Code);
        Assert.Equal("card_declined", Assert.IsType<ProviderOutcome.Refused>(await CreateAsync(declined)).Code);
        Assert.Equal(ProviderStatus.Succeeded, (await TakeAsync(Again(stored))).Status);
    }

    [Fact]
    public async Task A_method_that_was_detached_is_charged_no_more()
    {
        var stored = (await TakeAsync(Charge(Approves) with { StoreFor = await CustomerAsync("cus_one") })).Stored!;
        var detach = new ProviderDetach("man_one", Mode.Test, stored.Method, "req-detach");
        Assert.IsType<ProviderOutcome.Detached>(await Provider.DetachAsync(detach, CancellationToken.None));
        Assert.IsType<ProviderOutcome.Detached>(await Provider.DetachAsync(detach with { Mandate = "man_two" }, CancellationToken.None));
        Assert.IsType<ProviderOutcome.Refused>(await CreateAsync(Again(stored)));
        Assert.Single(Taken());
    }

    [Fact]
    public async Task A_stored_method_is_of_one_customer()
    {
        var stored = (await TakeAsync(Charge(Approves) with { StoreFor = await CustomerAsync("cus_one") })).Stored!;
        Assert.IsType<ProviderOutcome.Refused>(await CreateAsync(Again(stored with { Customer = await CustomerAsync("cus_two") })));
    }

    protected ProviderCharge Again(ProviderStored stored) => Charge(stored.Method) with { Stored = stored };

    protected async Task<string> CustomerAsync(string customer) => Assert.IsType<ProviderOutcome.KnownCustomer>(
        await Provider.CreateCustomerAsync(new(customer, Mode.Test, "mch_one", "req-customer"), CancellationToken.None)).Reference;

    protected async Task<ProviderSetup> SetupAsync(string mandate, string token) =>
        new(mandate, Mode.Test, await CustomerAsync("cus_one"), "card", token, "mch_one", null, "req-setup");

    protected Task<ProviderOutcome> FindRefundAsync(string refund, ProviderPayment payment) =>
        Provider.FindRefundAsync(new(refund, Mode.Test, payment.Reference, "req-find"), CancellationToken.None);
}
