using System.Text.Json.Nodes;
using static Harbour.Tests.Subscriptions.SubscriptionHost;

namespace Harbour.Tests.Subscriptions;

[Collection(nameof(UsesSandbox))]
public sealed class SubscriptionHttpTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private SubscriptionHost world = null!;

    public async Task InitializeAsync() => world = await StartAsync(sandbox);

    public async Task DisposeAsync() => await world.DisposeAsync();

    public static TheoryData<string, string, string> Refusals => new()
    {
        { """{"interval":"fortnight"}""", "field_invalid", "interval" },
        { """{"interval":null}""", "field_required", "interval" },
        { """{"interval_count":0}""", "field_invalid", "interval_count" },
        { """{"interval_count":37}""", "field_invalid", "interval_count" },
        { """{"amount":399}""", "amount_too_small", "amount" },
        { """{"amount":1.5}""", "amount_invalid", "amount" },
        { """{"currency":"EUR"}""", "currency_not_supported", "currency" },
        { """{"trial_days":731}""", "field_invalid", "trial_days" },
        { """{"start_at":"2020-01-01T00:00:00+08:00"}""", "field_invalid", "start_at" },
        { """{"start_at":"tomorrow"}""", "field_invalid", "start_at" },
        { """{"mandate":"man_nothing"}""", "mandate_not_found", "mandate" },
        { """{"mandate":null}""", "field_required", "mandate" },
        { """{"customer":"cus_00000000000000000000000000"}""", "customer_not_found", "customer" },
        { """{"plan":"gold"}""", "field_unknown", "plan" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task What_cannot_be_is_refused_by_name(string change, string code, string param)
    {
        var (customer, mandate) = await world.MandateAsync();
        var body = new JsonObject { ["customer"] = customer, ["mandate"] = mandate, ["amount"] = 12800, ["currency"] = "HKD", ["interval"] = "month" };
        foreach (var (name, value) in JsonNode.Parse(change)!.AsObject()) body[name] = value?.DeepClone();
        var answer = await world.Api.PostAsync("/v1/subscriptions", body.ToJsonString());
        Assert.Equal(code.EndsWith("_not_found", StringComparison.Ordinal) && answer.Status == 404 ? 404 : 422, answer.Status);
        Assert.Contains((param, code), Problems(answer));
        Assert.Empty((await world.Api.GetAsync("/v1/subscriptions")).Body["data"]!.AsArray());
    }

    [Fact]
    public async Task Anothers_mandate_or_one_that_was_revoked_makes_no_subscription()
    {
        var (customer, mandate) = await world.MandateAsync();
        var (other, _) = await world.MandateAsync();
        Assert.Equal("mandate_not_found", (await SubscribeAsync(other, mandate)).Code);
        await world.Api.PostAsync($"/v1/mandates/{mandate}/revoke", null);
        Assert.Equal("mandate_not_active", (await SubscribeAsync(customer, mandate)).Code);

        Task<ApiAnswer> SubscribeAsync(string whose, string which) =>
            world.Api.PostAsync("/v1/subscriptions", new { customer = whose, mandate = which, amount = 12800, currency = "HKD", interval = "month" });
    }

    [Fact]
    public async Task The_same_key_is_answered_the_same_and_another_request_under_it_is_refused()
    {
        var (customer, mandate) = await world.MandateAsync();
        var key = Api.NewKey();
        var body = new { customer, mandate, amount = 12800, currency = "HKD", interval = "month" };
        var (first, again) = (await world.Api.PostAsync("/v1/subscriptions", body, key), await world.Api.PostAsync("/v1/subscriptions", body, key));
        Assert.Equal((201, 201, first.Text, "true"), (first.Status, again.Status, again.Text, again["Idempotent-Replayed"]));
        Assert.Equal("idempotency_key_reused", (await world.Api.PostAsync("/v1/subscriptions", body with { amount = 12900 }, key)).Code);
        Assert.Equal("idempotency_key_required", (await world.Api.SendAsync(HttpMethod.Post, "/v1/subscriptions", null)).Code);
    }

    [Fact]
    public async Task What_was_answered_is_answered_again_although_it_would_be_refused_now()
    {
        var (customer, mandate) = await world.MandateAsync();
        var (key, change) = (Api.NewKey(), Api.NewKey());
        var body = new { customer, mandate, amount = 12800, currency = "HKD", interval = "month", start_at = world.Host.Clock.GetUtcNow().AddMinutes(1).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'") };
        var made = await world.Api.PostAsync("/v1/subscriptions", body, key);
        Assert.Equal(200, (await world.Api.PostAsync("/v1/subscriptions/" + made.Id, new { mandate }, change)).Status);
        await world.Api.AdvanceAsync("00:05:00");
        await world.Api.PostAsync($"/v1/mandates/{mandate}/revoke", null);

        Assert.Equal(made.Text, (await world.Api.PostAsync("/v1/subscriptions", body, key)).Text);
        Assert.Equal("true", (await world.Api.PostAsync("/v1/subscriptions/" + made.Id, new { mandate }, change))["Idempotent-Replayed"]);
    }

    [Fact]
    public async Task A_key_that_a_busy_provider_gave_back_makes_a_subscription()
    {
        var (customer, mandate) = await world.MandateAsync();
        var key = Api.NewKey();
        Assert.Equal(503, (await world.Api.ChargeAsync(Api.Charge("tok_provider_busy"), key)).Status);
        Assert.Equal(201, (await world.Api.PostAsync("/v1/subscriptions", new { customer, mandate, amount = 12800, currency = "HKD", interval = "month" }, key)).Status);
    }

    [Fact]
    public async Task Changes_that_are_not_possible_are_refused_and_change_nothing()
    {
        var made = await world.SubscribeAsync();
        Assert.Equal((409, "invalid_transition"), Status(await PostAsync("resume")));
        Assert.Equal("paused", (await PostAsync("pause")).State);
        Assert.Equal((409, "invalid_transition"), Status(await PostAsync("pause")));
        Assert.Equal("canceled", (await PostAsync("cancel")).State);
        foreach (var change in new[] { "pause", "resume", "cancel" }) Assert.Equal((409, "invalid_transition"), Status(await PostAsync(change)));
        Assert.Equal(3, (await world.GetAsync(made.Id)).Body["version"]!.GetValue<int>());
        Assert.Equal((422, "field_unknown"), Status(await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/pause", new { until = "later" })));

        Task<ApiAnswer> PostAsync(string change) => world.Api.PostAsync($"/v1/subscriptions/{made.Id}/{change}", null);
    }

    [Fact]
    public async Task Nobody_elses_subscription_is_seen()
    {
        var made = await world.SubscribeAsync();
        using var http = new HttpClient { BaseAddress = world.Host.BaseAddress };
        foreach (var key in new[] { Api.Other, Api.Live })
        {
            var other = new Api(http, key);
            Assert.Equal((404, "subscription_not_found"), Status(await other.GetAsync("/v1/subscriptions/" + made.Id)));
            Assert.Equal((404, "subscription_not_found"), Status(await other.GetAsync($"/v1/subscriptions/{made.Id}/invoices")));
            Assert.Equal((404, "subscription_not_found"), Status(await other.PostAsync($"/v1/subscriptions/{made.Id}/cancel", null)));
            Assert.Empty((await other.GetAsync("/v1/subscriptions")).Body["data"]!.AsArray());
        }

        Assert.Equal((403, "insufficient_scope"), Status(await new Api(http, Api.ReadOnly).GetAsync("/v1/subscriptions/" + made.Id)));
    }

    [Fact]
    public async Task Lists_are_newest_first_and_narrow_down()
    {
        var first = await world.SubscribeAsync(with: new JsonObject { ["reference"] = "gold" });
        var second = await world.SubscribeAsync(with: new JsonObject { ["trial_days"] = 3 });
        Assert.Equal([second.Id, first.Id], await IdsAsync(""));
        Assert.Equal([first.Id], await IdsAsync("?reference=gold"));
        Assert.Equal([second.Id], await IdsAsync("?status=trialing"));
        Assert.Equal([first.Id], await IdsAsync("?customer=" + first.Body["customer"]));
        Assert.Equal([second.Id], await IdsAsync("?limit=1"));
        Assert.Equal([first.Id], await IdsAsync($"?limit=1&cursor={second.Id}"));
        Assert.Equal((422, "field_invalid"), Status(await world.Api.GetAsync("/v1/subscriptions?status=dead")));

        async Task<IEnumerable<string>> IdsAsync(string query) => (await world.Api.GetAsync("/v1/subscriptions" + query)).Body["data"]!.AsArray().Select(s => s!["id"]!.ToString()).ToList();
    }

    [Fact]
    public async Task Labels_can_be_changed()
    {
        var made = await world.SubscribeAsync(with: new JsonObject { ["reference"] = "gold", ["metadata"] = new JsonObject { ["plan"] = "gold" } });
        var changed = await world.Api.PostAsync("/v1/subscriptions/" + made.Id, new { reference = "silver", metadata = new { plan = "silver" } });
        Assert.Equal((200, "silver", "silver"), (changed.Status, changed.Body["reference"]!.ToString(), changed.Body["metadata"]!["plan"]!.ToString()));
        Assert.Equal(made.Body["current_period_end"]!.ToString(), changed.Body["current_period_end"]!.ToString());
        Assert.Single(await world.InvoicesAsync(made.Id));
    }

    private static (int, string?) Status(ApiAnswer answer) => (answer.Status, answer.Code);

    private static IEnumerable<(string, string)> Problems(ApiAnswer answer) =>
        answer.Body["errors"] is JsonArray errors ? errors.Select(e => (e!["param"]!.ToString(), e["code"]!.ToString())) : [(answer.Body["param"]!.ToString(), answer.Code!)];
}
