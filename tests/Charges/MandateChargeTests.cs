using System.Text.Json.Nodes;
using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Operations;
using Harbour.Sandbox;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Charges;

/// <summary>Charges that make a mandate, and charges on one: with a caller, and without.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class MandateChargeTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private static readonly Book TheBook = new(Seed.Demo.Value, Mode.Test);

    private SandboxHost host = null!;
    private HttpClient http = null!;
    private Api api = null!;
    private string customer = null!;

    public async Task InitializeAsync()
    {
        host = await sandbox.StartHostAsync(new SandboxOptions
        {
            Configure = builder => builder.Configuration.AddInMemoryCollection([new("Stripe:TimeoutSeconds", "0.5")]),
        });
        http = new HttpClient { BaseAddress = host.BaseAddress };
        api = new Api(http);
        customer = (await api.PostAsync("/v1/customers", new { })).Id;
    }

    public async Task DisposeAsync()
    {
        http.Dispose();
        await host.DisposeAsync();
    }

    [Theory]
    [InlineData("automatic", "succeeded")]
    [InlineData("manual", "authorized")]
    public async Task The_first_payment_makes_the_mandate_that_later_ones_are_taken_on(string capture, string state)
    {
        var first = await FirstAsync("tok_visa", capture);
        Assert.Equal((201, state, customer), (first.Status, first.State, first.Body["customer"]!.ToString()));
        var mandate = await api.GetAsync("/v1/mandates/" + first.Body["mandate"]);
        Assert.Equal(("active", first.Id, customer, "4242"),
            (mandate.State, mandate.Body["created_by"]!.ToString(), mandate.Body["customer"]!.ToString(), mandate.Body["payment_method"]!["card"]!["last4"]!.ToString()));
        Assert.DoesNotContain("pm_", first.Text + mandate.Text);

        var later = await OnAsync(mandate.Id);
        Assert.Equal((201, "succeeded", customer, mandate.Id, "4242"),
            (later.Status, later.State, later.Body["customer"]!.ToString(), later.Body["mandate"]!.ToString(), later.Body["payment_method"]!["card"]!["last4"]!.ToString()));
        Assert.Equal(201, (await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = mandate.Id, customer, payment_method = new { type = "card" }, capture_method = "manual" })).Status);
        Assert.Equal(3, (await api.GetAsync("/v1/charges?customer=" + customer)).Body["data"]!.AsArray().Count);
        Assert.Equal(1, await CountEventsAsync("mandate.active"));

        // Captured later, a charge does not make its mandate a second time.
        if (capture == "manual") Assert.Equal(mandate.Id, (await api.PostAsync($"/v1/charges/{first.Id}/capture", null)).Body["mandate"]!.ToString());
        Assert.Equal(1, await CountEventsAsync("mandate.active"));
    }

    [Fact]
    public async Task A_payment_that_fails_makes_no_mandate()
    {
        Assert.Equal((402, "card_declined"), Refusal(await FirstAsync("tok_declined")));
        var waiting = await FirstAsync("tok_3ds_required");
        Assert.Equal(("requires_action", null), (waiting.State, waiting.Body["mandate"]));
        Assert.Empty((await api.GetAsync($"/v1/customers/{customer}/mandates")).Body["data"]!.AsArray());
    }

    [Fact]
    public async Task A_first_payment_whose_answer_was_lost_makes_its_mandate_when_it_is_found()
    {
        var key = Api.NewKey();
        var first = await FirstAsync("tok_timeout", key: key);
        Assert.Equal((202, null), (first.Status, first.Body["mandate"]));
        await api.AdvanceAsync("00:02:00");
        var mandate = (await api.GetAsync("/v1/charges/" + first.Id)).Body["mandate"]!.ToString();
        Assert.Equal("active", (await api.GetAsync("/v1/mandates/" + mandate)).State);
        Assert.Equal(mandate, (await FirstAsync("tok_timeout", key: key)).Body["mandate"]!.ToString());
        Assert.Equal(1, await CountEventsAsync("mandate.active"));
    }

    [Fact]
    public async Task A_customer_without_a_provider_that_answers_is_charged_when_it_does()
    {
        var key = Api.NewKey();
        await api.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        Assert.Equal((503, "provider_unavailable"), Refusal(await FirstAsync("tok_visa", key: key)));
        await api.PostAsync("/sandbox/faults", new { provider = "stripe" });
        Assert.Equal(201, (await FirstAsync("tok_visa", key: key)).Status);
        Assert.Single(host.Stripe!.Payments());
    }

    [Fact]
    public async Task A_recurring_card_fails_as_often_as_it_says_then_works()
    {
        var mandate = (await FirstAsync("tok_recurring_fails_2")).Body["mandate"]!.ToString();
        var key = Api.NewKey();
        for (var i = 0; i < 2; i++)
        {
            var declined = await OnAsync(mandate, key);
            Assert.Equal((402, "card_declined", "insufficient_funds"), (declined.Status, declined.Code, declined.Body["decline_code"]!.ToString()));
        }

        Assert.Equal((402, "card_declined"), Refusal(await OnAsync(mandate)));
        Assert.Equal(201, (await OnAsync(mandate)).Status);
        var stolen = await OnAsync((await FirstAsync("tok_recurring_stolen")).Body["mandate"]!.ToString());
        Assert.Equal((402, "stolen_card"), (stolen.Status, stolen.Body["decline_code"]!.ToString()));
    }

    [Fact]
    public async Task What_a_charge_names_must_fit_together()
    {
        var mandate = (await FirstAsync("tok_visa")).Body["mandate"]!.ToString();
        var other = (await api.PostAsync("/v1/customers", new { })).Id;
        Assert.Equal((422, "mandate_of_other_customer"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate, customer = other })));
        Assert.Equal((404, "customer_not_found"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate, customer = "cus_01jdb0000000000000000000ab" })));
        Assert.Equal((422, "field_required"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", setup_mandate = true, payment_method = new { type = "card", token = "tok_visa" } })));
        // A customer is named without anything being stored.
        var plain = await api.ChargeAsync(new { amount = 5000, currency = "HKD", customer = other, payment_method = new { type = "card", token = "tok_visa" } });
        Assert.Equal((201, other, null), (plain.Status, plain.Body["customer"]!.ToString(), plain.Body["mandate"]));
    }

    [Fact]
    public async Task Charges_at_once_on_one_mandate_are_all_taken_and_none_begins_after_it_was_revoked()
    {
        var mandate = (await FirstAsync("tok_visa")).Body["mandate"]!.ToString();
        Assert.All(await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => OnAsync(mandate))), answer => Assert.Equal(201, answer.Status));

        var racing = Enumerable.Range(0, 8).Select(_ => OnAsync(mandate)).ToList();
        Assert.Equal(200, (await api.PostAsync($"/v1/mandates/{mandate}/revoke", null)).Status);
        var answers = await Task.WhenAll(racing);
        // One that began before the provider was told to forget the card may reach it afterwards, and is declined there.
        Assert.All(answers, answer => Assert.True(answer is { Status: 201 } or { Code: "mandate_not_active" } or { Status: 402 }, answer.Text));
        Assert.Equal(9 + answers.Count(answer => answer.Status == 201), host.Stripe!.Payments().Count(p => p.Status == "succeeded"));
        Assert.Equal((409, "mandate_not_active"), Refusal(await OnAsync(mandate)));
    }

    [Fact]
    public async Task A_payment_without_a_caller_is_one_commit_with_what_its_owner_writes()
    {
        var (charges, mandate) = await MandateAsync("tok_visa");
        var id = NewId();
        var taken = await charges.TakeAsync(TheBook, id, Order(mandate), "req-renewal", commit => commit.Insert("test|one", new { Charge = id }));
        Assert.Equal((ChargeStatus.Succeeded, mandate.Id, mandate.Customer, "req-renewal"), (taken!.Status, taken.Mandate, taken.Customer, taken.RequestId));
        Assert.NotNull(await RowAsync("test|one"));
        var shown = await api.GetAsync("/v1/charges/" + id);
        Assert.Equal(("succeeded", "renewal-1", "v"), (shown.State, shown.Body["reference"]!.ToString(), shown.Body["metadata"]!["k"]!.ToString()));

        // The same call again, as a flow makes it after a crash, takes nothing.
        var again = await charges.TakeAsync(TheBook, id, Order(mandate), "req-again", commit => commit.Insert("test|two", new { Charge = id }));
        Assert.Equal((id, ChargeStatus.Succeeded, taken.Version, "req-renewal"), (again!.Id, again.Status, again.Version, again.RequestId));
        Assert.Null(await RowAsync("test|two"));
        Assert.Single(host.Stripe!.Payments(), p => p.Charge == id.Value);
        Assert.Null(await host.Services.GetRequiredService<Janitor>().NextDueAsync(default));
    }

    [Fact]
    public async Task A_payment_without_a_caller_is_nothing_when_its_owners_row_was_changed()
    {
        var (charges, mandate) = await MandateAsync("tok_visa");
        await charges.TakeAsync(TheBook, NewId(), Order(mandate), "r", commit => commit.Insert("test|row", new { }));
        var id = NewId();
        Assert.Null(await charges.TakeAsync(TheBook, id, Order(mandate), "r", commit => commit.Insert("test|row", new { })));
        Assert.Equal(404, (await api.GetAsync("/v1/charges/" + id)).Status);
        Assert.DoesNotContain(host.Stripe!.Payments(), p => p.Charge == id.Value);
    }

    [Fact]
    public async Task Payments_without_a_caller_at_once_on_one_mandate_are_all_taken()
    {
        var (charges, mandate) = await MandateAsync("tok_visa");
        var taken = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => charges.TakeAsync(TheBook, NewId(), Order(mandate), "r", _ => { })));
        Assert.All(taken, charge => Assert.Equal(ChargeStatus.Succeeded, charge?.Status));
        Assert.Equal(7, host.Stripe!.Payments().Count);
    }

    [Fact]
    public async Task A_payment_without_a_caller_leaves_nothing_when_the_provider_is_away_or_the_mandate_revoked()
    {
        var (charges, mandate) = await MandateAsync("tok_visa");
        await api.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        var id = NewId();
        Assert.Null(await charges.TakeAsync(TheBook, id, Order(mandate), "r", commit => commit.Insert("test|attempt", new { })));
        Assert.Equal(404, (await api.GetAsync("/v1/charges/" + id)).Status);
        Assert.NotNull(await RowAsync("test|attempt"));

        await api.PostAsync("/sandbox/faults", new { provider = "stripe" });
        Assert.Equal(ChargeStatus.Succeeded, (await charges.TakeAsync(TheBook, id, Order(mandate), "r", _ => { }))!.Status);
        await api.PostAsync($"/v1/mandates/{mandate.Id}/revoke", null);
        Assert.Null(await charges.TakeAsync(TheBook, NewId(), Order(mandate), "r", _ => { }));
        Assert.Null(await host.Services.GetRequiredService<Janitor>().NextDueAsync(default));
    }

    [Fact]
    public async Task A_payment_without_a_caller_is_declined_or_resolves_like_any_other()
    {
        var (charges, fails) = await MandateAsync("tok_recurring_fails_1");
        var declined = await charges.TakeAsync(TheBook, NewId(), Order(fails), "r", _ => { });
        Assert.Equal((ChargeStatus.Failed, "card_declined", "insufficient_funds"), (declined!.Status, declined.Failure!.Code, declined.Failure.DeclineCode));

        // The card that never answers is authorised first through the janitor, then charged.
        var first = await FirstAsync("tok_timeout");
        await api.AdvanceAsync("00:02:00");
        var hanging = Id<Mandate>.Parse((await api.GetAsync("/v1/charges/" + first.Id)).Body["mandate"]!.ToString());
        var id = NewId();
        var unknown = await charges.TakeAsync(TheBook, id, Order((await Mandates.FindAsync(TheBook, hanging))!.Value), "r", _ => { });
        Assert.Equal(ChargeStatus.Unknown, unknown!.Status);
        Assert.Equal(ChargeStatus.Succeeded, (await charges.ResolveAsync(TheBook, id, "r"))!.Status);
        await api.AdvanceAsync("00:02:00");
        Assert.Null(await host.Services.GetRequiredService<Janitor>().NextDueAsync(default));
    }

    private MandateOperations Mandates => host.Services.GetRequiredService<MandateOperations>();

    private async Task<(ChargeOperations Charges, Mandate Mandate)> MandateAsync(string token)
    {
        var id = Id<Mandate>.Parse((await FirstAsync(token)).Body["mandate"]!.ToString());
        return (host.Services.GetRequiredService<ChargeOperations>(), (await Mandates.FindAsync(TheBook, id))!.Value);
    }

    private Id<Charge> NewId() => host.Services.GetRequiredService<Ids>().New<Charge>();

    private static MandateCharge Order(Mandate mandate) =>
        new(new Money(9900, Currency.HKD), mandate, "renewal-1", "A renewal", new Dictionary<string, string> { ["k"] = "v" });

    private Task<ApiAnswer> FirstAsync(string token, string capture = "automatic", string? key = null) => api.ChargeAsync(
        new { amount = 12800, currency = "HKD", customer, setup_mandate = true, capture_method = capture, payment_method = new { type = "card", token } }, key);

    private Task<ApiAnswer> OnAsync(string mandate, string? key = null) => api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate }, key);

    private Task<Row<JsonNode>?> RowAsync(string key) => host.Services.GetRequiredService<Books>().ReadAsync<JsonNode>(TheBook, key);

    private async Task<int> CountEventsAsync(string type) =>
        await host.Services.GetRequiredService<Books>().ScanAsync(TheBook, "event|", "event|" + Books.Last).CountAsync(row => Books.Row<JsonNode>(row).Value["type"]!.GetValue<string>() == type);

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
