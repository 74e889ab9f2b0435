using Harbour.Charges;
using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Risk;

namespace Harbour.Tests.Charges;

public sealed class ChargeTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);
    private static readonly Id<Charge> AnId = Id<Charge>.Parse("ch_01jdb0000000000000000000ab");
    private static readonly ProviderCard Visa = new("visa", "4242", "US", "fp");

    public static TheoryData<string, ChargeStatus, ProviderOutcome, ChargeStatus?> Outcomes => new()
    {
        { "taken", ChargeStatus.Processing, Known(ProviderStatus.Succeeded, 12800), ChargeStatus.Succeeded },
        { "authorised", ChargeStatus.Processing, Known(ProviderStatus.Authorized), ChargeStatus.Authorized },
        { "challenged", ChargeStatus.Processing, Known(ProviderStatus.RequiresAction), ChargeStatus.RequiresAction },
        { "taken in, not decided", ChargeStatus.Processing, Known(ProviderStatus.Processing), ChargeStatus.Processing },
        { "canceled at the provider", ChargeStatus.Processing, Known(ProviderStatus.Canceled), ChargeStatus.Canceled },
        { "failed at the provider", ChargeStatus.Processing, Known(ProviderStatus.Failed), ChargeStatus.Failed },
        { "refused", ChargeStatus.Processing, new ProviderOutcome.Refused("card_declined", "do_not_honor", null), ChargeStatus.Failed },
        { "no answer", ChargeStatus.Processing, new ProviderOutcome.Unknown("time-out"), ChargeStatus.Unknown },
        { "still no answer", ChargeStatus.Unknown, new ProviderOutcome.Unknown("time-out"), null },
        { "found after all", ChargeStatus.Unknown, Known(ProviderStatus.Succeeded, 12800), ChargeStatus.Succeeded },
        { "absence says nothing yet", ChargeStatus.Unknown, new ProviderOutcome.Absent(), null },
        { "not attempted leaves nothing", ChargeStatus.Processing, new ProviderOutcome.NotAttempted("refused"), null },
    };

    [Theory]
    [MemberData(nameof(Outcomes))]
    public void The_providers_outcome_decides_what_becomes_of_a_charge(string name, ChargeStatus status, ProviderOutcome outcome, ChargeStatus? expected)
    {
        Assert.NotEmpty(name);
        var after = Charge(status).After(outcome, Now.AddSeconds(1));
        Assert.Equal(expected, after?.Status);
        if (after is null) return;
        Assert.Equal(2, after.Version);
        Assert.Equal(Now.AddSeconds(1), after.UpdatedAt);
        Assert.Equal(expected is ChargeStatus.Succeeded ? 12800 : 0, after.Captured);
    }

    [Theory]
    [InlineData(ChargeStatus.Failed)]
    [InlineData(ChargeStatus.Canceled)]
    public void What_is_final_stays_so(ChargeStatus status) =>
        Assert.All(Enum.GetValues<ChargeStatus>(), next => Assert.False(Charge(status).CanBecome(next)));

    [Fact]
    public void A_charge_that_succeeded_never_fails_afterwards()
    {
        var charge = Charge(ChargeStatus.Succeeded);
        Assert.Throws<InvalidOperationException>(() => charge.After(new ProviderOutcome.Refused("card_declined", null, null), Now));
        Assert.Throws<InvalidOperationException>(() => charge.NeverReceived(Now));
    }

    [Fact]
    public void More_than_was_authorised_is_never_captured() =>
        Assert.Throws<InvalidOperationException>(() => Charge(ChargeStatus.Processing).After(Known(ProviderStatus.Succeeded, 12801), Now));

    [Fact]
    public void A_decline_keeps_the_issuers_reason_and_the_card()
    {
        var payment = new ProviderPayment("pi_1", ProviderStatus.Failed, new Money(12800, Currency.HKD), Money.Zero(Currency.HKD), Visa, null, "card_declined", "insufficient_funds");
        var failed = Charge(ChargeStatus.Processing).After(new ProviderOutcome.Refused("card_declined", "insufficient_funds", payment), Now)!;
        Assert.Equal("card_declined", failed.Failure!.Code);
        Assert.Equal("insufficient_funds", failed.Failure.DeclineCode);
        Assert.Equal("4242", failed.Method.Card!.Last4);
        Assert.Equal("pi_1", failed.Provider.Reference);
        Assert.Equal("charge.failed", failed.Event);
    }

    [Fact]
    public void A_refusal_that_the_catalogue_does_not_know_is_the_providers_own() =>
        Assert.Equal("provider_refused", Charge(ChargeStatus.Processing).After(new ProviderOutcome.Refused("something_new", null, null), Now)!.Failure!.Code);

    [Theory]
    [InlineData("HKD", 5_000_000, "approve", "high_amount")]
    [InlineData("HKD", 12_800, "approve", null)]
    [InlineData("USD", 640_000, "approve", "high_amount")]
    public void A_rule_that_holds_is_named(string currency, long amount, string decision, string? reason)
    {
        var risk = RiskRules.Assess(new Money(amount, Currency.Parse(currency)), "card");
        Assert.Equal(decision, risk.Decision.ToString(), ignoreCase: true);
        Assert.Equal(reason, risk.Reasons.SingleOrDefault());
        Assert.Equal(reason is null, risk.Score == 0);
    }

    [Theory]
    [InlineData(0.74, RiskDecision.Approve)]
    [InlineData(0.75, RiskDecision.Challenge)]
    [InlineData(0.95, RiskDecision.Block)]
    [InlineData(1.7, RiskDecision.Block)]
    public void The_weights_add_up_to_a_decision(double weight, RiskDecision expected)
    {
        var risk = RiskRules.Decide([("a", (decimal)weight - 0.5m), ("b", 0.5m)]);
        Assert.Equal(expected, risk.Decision);
        Assert.InRange(risk.Score, 0m, 1m);
    }

    private static ProviderOutcome Known(ProviderStatus status, long captured = 0) => new ProviderOutcome.Known(
        new ProviderPayment("pi_1", status, new Money(12800, Currency.HKD), new Money(captured, Currency.HKD), Visa, "https://provider.example/3ds", null, null));

    private static Charge Charge(ChargeStatus status) => new()
    {
        Id = AnId,
        Mode = Mode.Test,
        Status = status,
        Amount = new Money(12800, Currency.HKD),
        CaptureMethod = CaptureMethod.Automatic,
        Method = new ChargeMethod("card", null),
        Provider = new ChargeProvider("stripe", null, "primary"),
        Risk = RiskRules.Assess(new Money(12800, Currency.HKD), "card"),
        Settlement = new Settlement(Currency.HKD, 0, 0, 0, null, null),
        Metadata = new Dictionary<string, string>(),
        RequestId = "req_1",
        CreatedAt = Now,
        UpdatedAt = Now,
    };
}
