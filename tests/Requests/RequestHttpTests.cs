using System.Text.Json.Nodes;
using Harbour.Sandbox;

namespace Harbour.Tests.Requests;

[Collection(nameof(UsesSandbox))]
public sealed class RequestHttpTests(SandboxFixture sandbox) : OwnHost(sandbox)
{
    private readonly SandboxFixture sandbox = sandbox;

    [Fact]
    public async Task A_charge_shows_who_asked_what_the_provider_said_and_what_was_posted()
    {
        var charge = await ChargeAsync("order-1", Api.Charge());
        var answer = await Shop.GetAsync("/v1/requests/order-1");
        Assert.Equal((200, "request", "order-1", false), (answer.Status, Text(answer.Body["object"]), answer.Id, answer.Body["has_more"]!.GetValue<bool>()));

        var call = Assert.Single(Calls(answer))!;
        Assert.StartsWith("key_", Text(call["caller"]!["credential"]));
        Assert.Equal(("key", "127.0.0.1"), (Text(call["caller"]!["kind"]), Text(call["caller"]!["address"]).Replace("::1", "127.0.0.1", StringComparison.Ordinal)));
        Assert.Equal(("POST", "/v1/charges", "v1/charges", 201), (Text(call["method"]), Text(call["path"]), Text(call["route"]), call["status"]!.GetValue<int>()));
        Assert.Null(call["code"]);
        Assert.True(call["idempotency_key"]!.GetValue<bool>());
        Assert.EndsWith("+08:00", Text(call["answered_at"]), StringComparison.Ordinal);

        var provider = Assert.Single(call["provider_calls"]!.AsArray())!;
        Assert.Equal(("stripe", "create", "primary", "known"), (Text(provider["provider"]), Text(provider["operation"]), Text(provider["endpoint"]), Text(provider["outcome"])));
        Assert.InRange(provider["duration_ms"]!.GetValue<double>(), 0.001, call["duration_ms"]!.GetValue<double>());

        Assert.Equal(["charge.create", "charge.settle"], Changes(answer).Select(c => Text(c!["operation"])));
        Assert.Equal([("charge", charge.Id, "created")], Objects(Changes(answer)[0]!));
        Assert.Contains(("charge", charge.Id, "changed"), Objects(Changes(answer)[1]!));
        Assert.Contains(Objects(Changes(answer)[1]!), o => o.Kind == "event" && o.Id.StartsWith("evt_", StringComparison.Ordinal) && o.Change == "created");
        var postings = Changes(answer)[1]!["postings"]!.AsArray();
        Assert.Equal([("charge", 12800L), ("fee", -606L)], postings.Where(p => Text(p!["account"]) == "merchant_available").Select(p => (Text(p!["type"]), p["amount"]!.GetValue<long>())));
        Assert.Equal(0, postings.Sum(p => p!["amount"]!.GetValue<long>()));
        Assert.All(postings, p => Assert.Equal(("HKD", charge.Id), (Text(p!["currency"]), Text(p["source"]))));
        Assert.All(postings, p => Assert.StartsWith("pst_", Text(p!["id"])));
    }

    [Fact]
    public async Task A_decline_is_shown_with_its_code()
    {
        await ChargeAsync("declined-1", Api.Charge("tok_declined"));
        var call = Assert.Single(Calls(await Shop.GetAsync("/v1/requests/declined-1")))!;
        Assert.Equal((402, "card_declined"), (call["status"]!.GetValue<int>(), Text(call["code"])));
        Assert.Equal("refused", Text(Assert.Single(call["provider_calls"]!.AsArray())!["outcome"]));
    }

    [Fact]
    public async Task A_retry_is_a_call_of_its_own_that_changed_nothing()
    {
        var key = Api.NewKey();
        await ChargeAsync("again-1", Api.Charge(), key);
        await ChargeAsync("again-1", Api.Charge(), key);
        var answer = await Shop.GetAsync("/v1/requests/again-1");
        Assert.Equal([(201, false, 1), (201, true, 0)], Calls(answer).Select(c => (c!["status"]!.GetValue<int>(), c["replayed"]!.GetValue<bool>(), c["provider_calls"]!.AsArray().Count)));
        Assert.Equal(2, Changes(answer).Count);

        // Under an id of its own the retry shows that nothing was changed by it.
        await ChargeAsync("again-2", Api.Charge(), key);
        answer = await Shop.GetAsync("/v1/requests/again-2");
        Assert.True(Assert.Single(Calls(answer))!["replayed"]!.GetValue<bool>());
        Assert.Empty(Changes(answer));
    }

    [Fact]
    public async Task A_refused_call_is_shown_with_the_code_and_without_what_was_sent()
    {
        await ChargeAsync("refused-1", new { amount = 500, currency = "HKD", payment_method = new { type = "card", number = "4242424242424242" } });
        await Shop.GetAsync("/v1/charges/4242424242424242?reference=4242424242424242", ("X-Request-ID", "refused-1"));
        await new Api(Http, Api.ReadOnly).PostAsync("/v1/charges", Api.Charge(), null, ("X-Request-ID", "refused-1"));
        var answer = await Shop.GetAsync("/v1/requests/refused-1");
        Assert.Equal([(422, "raw_card_data_refused"), (404, "charge_not_found"), (403, "insufficient_scope")], Calls(answer).Select(c => (c!["status"]!.GetValue<int>(), Text(c["code"]))));
        Assert.Empty(Changes(answer));
        Assert.DoesNotContain("4242424242424242", answer.Text);
        Assert.DoesNotContain(Api.Demo, answer.Text);
    }

    [Fact]
    public async Task What_belongs_to_others_is_not_found()
    {
        await ChargeAsync("mine-1", Api.Charge());
        foreach (var other in new[] { Api.Other, Api.Live })
            Assert.Equal((404, "request_not_found"), Refusal(await new Api(Http, other).GetAsync("/v1/requests/mine-1")));
        Assert.Equal((403, "insufficient_scope"), Refusal(await new Api(Http, Api.ReadOnly).GetAsync("/v1/requests/mine-1")));

        // A prefix of an id, a pattern and what can be no id at all are no one's.
        foreach (var none in new[] { "nobody", "mine-", "mine-1~", "%25", "%2F", new string('a', 65) })
            Assert.Equal(404, (await Shop.GetAsync("/v1/requests/" + none)).Status);
        Assert.Equal((404, "request_not_found"), Refusal(await Shop.GetAsync("/v1/requests/nobody")));
    }

    [Fact]
    public async Task An_id_that_is_used_for_everything_shows_the_latest_calls_and_says_so()
    {
        await ChargeAsync("constant", Api.Charge());
        for (var i = 0; i < 100; i++) await Shop.GetAsync("/v1/charges?limit=1", ("X-Request-ID", "constant"));
        var answer = await Shop.GetAsync("/v1/requests/constant");
        Assert.True(answer.Body["has_more"]!.GetValue<bool>());
        Assert.Equal(100, Calls(answer).Count);
        Assert.All(Calls(answer), c => Assert.Equal("GET", Text(c!["method"])));
        Assert.Empty(Changes(answer));
    }

    [Fact]
    public async Task A_stop_and_a_second_host_keep_and_see_all_of_it()
    {
        var storage = sandbox.NewStorage();
        await using (var first = await sandbox.StartHostAsync(new SandboxOptions { Storage = storage }))
        {
            using var http = new HttpClient { BaseAddress = first.BaseAddress };
            Assert.Equal(201, (await new Api(http).PostAsync("/v1/charges", Api.Charge(), null, ("X-Request-ID", "kept-1"))).Status);
        }

        await using var second = await sandbox.StartHostAsync(new SandboxOptions { Storage = storage });
        await using var third = await sandbox.StartHostAsync(new SandboxOptions { Storage = storage, Role = SandboxRole.Http });
        using var client = new HttpClient { BaseAddress = third.BaseAddress };
        var answer = await new Api(client).GetAsync("/v1/requests/kept-1");
        Assert.Equal((200, 1, 2), (answer.Status, Calls(answer).Count, Changes(answer).Count));

        await new Api(client).PostAsync("/v1/charges", Api.Charge(), null, ("X-Request-ID", "there-1"));
        Assert.Single(Calls(await new Api(client).GetAsync("/v1/requests/there-1")));
    }

    private Task<ApiAnswer> ChargeAsync(string requestId, object body, string? key = null) => Shop.PostAsync("/v1/charges", body, key, ("X-Request-ID", requestId));

    private static JsonArray Calls(ApiAnswer answer) => answer.Body["calls"]!.AsArray();

    private static JsonArray Changes(ApiAnswer answer) => answer.Body["changes"]!.AsArray();

    private static List<(string Kind, string Id, string Change)> Objects(JsonNode change) =>
        [.. change["objects"]!.AsArray().Select(o => (Text(o!["object"]), Text(o["id"]), Text(o["change"])))];

    private static string Text(JsonNode? node) => node?.ToString() ?? "";

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
