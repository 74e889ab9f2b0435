using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Tests.Customers;

public sealed class MandateTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);
    private static readonly Id<Mandate> AnId = Id<Mandate>.Parse("man_01jdb0000000000000000000ab");
    private static readonly Id<Customer> Owner = Id<Customer>.Parse("cus_01jdb0000000000000000000ab");
    private static readonly Id<Customer> Stranger = Id<Customer>.Parse("cus_01jdb0000000000000000000ac");
    private static readonly ProviderStored Stored = new("cus_x", "pm_x");

    public static TheoryData<string, MandateStatus, ProviderOutcome, double, MandateStatus?> Outcomes => new()
    {
        { "stored", MandateStatus.Pending, Setup(ProviderSetupStatus.Succeeded), 0, MandateStatus.Active },
        { "stored at last", MandateStatus.Pending, Setup(ProviderSetupStatus.Succeeded), 30, MandateStatus.Active },
        { "challenged", MandateStatus.Pending, Setup(ProviderSetupStatus.RequiresAction), 0, MandateStatus.Pending },
        { "taken in", MandateStatus.Pending, Setup(ProviderSetupStatus.Processing), 0, MandateStatus.Pending },
        { "not confirmed within a day", MandateStatus.Pending, Setup(ProviderSetupStatus.RequiresAction), 24, MandateStatus.Expired },
        { "failed", MandateStatus.Pending, Setup(ProviderSetupStatus.Failed), 0, MandateStatus.Expired },
        { "refused", MandateStatus.Pending, new ProviderOutcome.Refused("card_declined", "stolen_card", null), 0, MandateStatus.Expired },
        { "no answer", MandateStatus.Pending, new ProviderOutcome.Unknown("time-out"), 23.9, null },
        { "no answer within a day", MandateStatus.Pending, new ProviderOutcome.Unknown("time-out"), 24, MandateStatus.Expired },
        { "stored after it was revoked", MandateStatus.Revoked, Setup(ProviderSetupStatus.Succeeded), 0, null },
        { "refused after it was stored", MandateStatus.Active, new ProviderOutcome.Refused("card_declined", null, null), 0, null },
        { "stored after it expired", MandateStatus.Expired, Setup(ProviderSetupStatus.Succeeded), 0, null },
    };

    [Theory]
    [MemberData(nameof(Outcomes))]
    public void The_providers_outcome_decides_what_becomes_of_a_mandate(string name, MandateStatus status, ProviderOutcome outcome, double hours, MandateStatus? expected)
    {
        Assert.NotEmpty(name);
        var after = Mandate(status).After(outcome, Now.AddHours(hours));
        Assert.Equal(expected, after?.Status);
        if (after is null) return;
        Assert.Equal((2, Now.AddHours(hours)), (after.Version, after.UpdatedAt));
        Assert.Equal(expected is MandateStatus.Active ? Stored : null, after.Stored);
        Assert.Equal(expected is MandateStatus.Active, after.IsActive);
    }

    [Fact]
    public void A_challenge_that_is_told_again_is_no_news()
    {
        var waiting = Mandate(MandateStatus.Pending).After(Setup(ProviderSetupStatus.RequiresAction), Now)!;
        Assert.Equal(("redirect", "https://provider.example/3ds"), (waiting.NextAction!.Type, waiting.NextAction.Url));
        Assert.Null(waiting.After(Setup(ProviderSetupStatus.RequiresAction), Now.AddHours(1)));
        Assert.Null(waiting.After(Setup(ProviderSetupStatus.Succeeded), Now)!.NextAction);
    }

    [Fact]
    public void A_refusal_keeps_the_issuers_reason()
    {
        var failure = Mandate(MandateStatus.Pending).After(new ProviderOutcome.Refused("card_declined", "stolen_card", null), Now)!.Failure!;
        Assert.Equal(("card_declined", "stolen_card"), (failure.Code, failure.DeclineCode));
    }

    [Theory]
    [InlineData(MandateStatus.Pending, null)]
    [InlineData(MandateStatus.Active, null)]
    [InlineData(MandateStatus.Revoked, "invalid_transition")]
    [InlineData(MandateStatus.Expired, "invalid_transition")]
    public void What_waits_or_is_in_force_can_be_revoked(MandateStatus status, string? refusal) =>
        Assert.Equal(refusal, Mandate(status).Revoke(Now).Error?.Code);

    [Theory]
    [InlineData(MandateStatus.Pending, "mandate_not_active")]
    [InlineData(MandateStatus.Active, null)]
    [InlineData(MandateStatus.Revoked, "mandate_not_active")]
    [InlineData(MandateStatus.Expired, "mandate_not_active")]
    public void Only_an_active_mandate_is_charged(MandateStatus status, string? refusal) => Assert.Equal(refusal, Mandate(status).Refusal()?.Code);

    public static TheoryData<string, ChargeRequest, bool, bool, string?> Payers => new()
    {
        { "nobody named", Request(), false, false, null },
        { "a customer", Request() with { Customer = Owner }, true, false, null },
        { "a customer that is not there", Request() with { Customer = Owner }, false, false, "customer_not_found" },
        { "a mandate", Request() with { Mandate = AnId }, false, true, null },
        { "a mandate that is not there", Request() with { Mandate = AnId }, false, false, "mandate_not_found" },
        { "a mandate and its customer", Request() with { Mandate = AnId, Customer = Owner }, true, true, null },
        { "a mandate and another customer", Request() with { Mandate = AnId, Customer = Stranger }, true, true, "mandate_of_other_customer" },
        { "a mandate of another method", Request() with { Mandate = AnId, MethodType = "fps" }, false, true, "field_invalid" },
    };

    [Theory]
    [MemberData(nameof(Payers))]
    public void What_a_charge_names_must_be_there_and_fit(string name, ChargeRequest request, bool customer, bool mandate, string? refusal)
    {
        Assert.NotEmpty(name);
        var payer = new ChargePayer(
            customer ? new Row<Customer>("c", new Customer { Id = request.Customer!.Value, Mode = Mode.Test, Metadata = request.Metadata, RequestId = "r", CreatedAt = Now, UpdatedAt = Now }, default) : null,
            mandate ? new Row<Mandate>("m", Mandate(MandateStatus.Active), default) : null);
        Assert.Equal(refusal, payer.Refusal(request)?.Code);
    }

    [Theory]
    [InlineData("""{}""", null)]
    [InlineData("""{"name":"陳大文","email":"a@b.hk","phone":"+852 9123 4567","reference":"c-1","description":"d","metadata":{"k":"v"}}""", null)]
    [InlineData("""{"email":"a.b.hk"}""", "email")]
    [InlineData("""{"email":"a@b@c"}""", "email")]
    [InlineData("""{"email":"a@"}""", "email")]
    [InlineData("""{"email":"a b@c"}""", "email")]
    [InlineData("""{"email":""}""", null)]
    [InlineData("""{"name":5}""", "name")]
    [InlineData("""{"card":"x"}""", "card")]
    [InlineData("""{"metadata":{"k":1}}""", "metadata.k")]
    [InlineData("""{"name":"4242 4242 4242 4242"}""", "name")]
    public void The_fields_of_a_customer_have_rules(string body, string? param)
    {
        var read = CustomerFields.Read(System.Text.Encoding.UTF8.GetBytes(body));
        Assert.Equal(param, read.Error?.Param);
        Assert.Equal(param is null, read.Error is null);
    }

    private static ProviderOutcome Setup(ProviderSetupStatus status) => new ProviderOutcome.KnownSetup(new ProviderSetupState(
        "seti_1", status, status is ProviderSetupStatus.Succeeded ? Stored : null, new ProviderCard("visa", "4242", "US", "fp"),
        status is ProviderSetupStatus.RequiresAction ? "https://provider.example/3ds" : null, null, null));

    private static ChargeRequest Request() => new(
        new Money(12800, Currency.HKD), null, null, CaptureMethod.Automatic, Currency.HKD, ThreeDSecureRequest.Automatic, null, null, null, new Dictionary<string, string>());

    private static Mandate Mandate(MandateStatus status) => new()
    {
        Id = AnId,
        Customer = Owner,
        Mode = Mode.Test,
        Status = status,
        Method = new MandateMethod("card", null),
        Provider = "stripe",
        Stored = status is MandateStatus.Active ? Stored : null,
        Setup = new MandateSetup("cus_x", "tok_visa", null),
        RequestId = "r",
        CreatedAt = Now,
        UpdatedAt = Now,
    };
}
