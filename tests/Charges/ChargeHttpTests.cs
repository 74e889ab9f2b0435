using System.Text;
using System.Text.Json.Nodes;
using Harbour.Sandbox;

namespace Harbour.Tests.Charges;

[Collection(nameof(UsesSandbox))]
public sealed class ChargeHttpTests(SandboxFixture sandbox)
{
    private readonly Api api = new(sandbox.Client);

    [Fact]
    public async Task The_first_charge_of_a_merchant_answers_as_the_contract_shows()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var own = new Api(http);
        var answer = await own.PostAsync("/v1/charges", Api.Charge(reference: "order-1001"), null, ("X-Request-ID", "first-1"));

        Assert.Equal(201, answer.Status);
        var id = answer.Id;
        var reference = answer.Body["provider"]!["reference"]!.GetValue<string>();
        var (created, updated) = (answer.Body["created_at"]!.GetValue<string>(), answer.Body["updated_at"]!.GetValue<string>());
        var fingerprint = answer.Body["payment_method"]!["card"]!["fingerprint"]!.GetValue<string>();
        Assert.StartsWith("ch_", id);
        Assert.StartsWith("pi_", reference);
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00$", created);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse($$"""
            {"id":"{{id}}","object":"charge","mode":"test","status":"succeeded","amount":12800,"currency":"HKD","amount_captured":12800,
             "amount_refunded":0,"amount_refundable":12800,"capture_method":"automatic","reference":"order-1001","description":null,"customer":null,"mandate":null,
             "payment_method":{"type":"card","card":{"brand":"visa","last4":"4242","country":"US","fingerprint":"{{fingerprint}}"} },
             "provider":{"name":"stripe","reference":"{{reference}}","endpoint":"primary"},
             "three_d_secure":null,"risk":{"score":0,"decision":"approve","reasons":[]},
             "settlement":{"currency":"HKD","gross":12800,"fee":606,"net":12194,"fx_rate":null,"quote":null},
             "next_action":null,"failure":null,"metadata":{},"version":2,"request_id":"first-1","created_at":"{{created}}","updated_at":"{{updated}}"}
            """), answer.Body), answer.Text);

        Assert.Equal(12194, await own.AvailableAsync());
        Assert.Equal(answer.Text, (await own.GetAsync("/v1/charges/" + id)).Text);
        var taken = Assert.Single(host.Stripe!.Payments());
        Assert.Equal((id, 12800L, "HKD", "succeeded"), (taken.Charge, taken.AmountCaptured, taken.Currency, taken.Status));

        var entries = (await own.GetAsync("/v1/balance/entries")).Body["data"]!.AsArray();
        Assert.Equal([("charge", 12800L), ("fee", -606L)], entries.Select(e => (e!["type"]!.GetValue<string>(), e["amount"]!.GetValue<long>())).Order());
        Assert.All(entries, e => Assert.Equal(id, e!["source"]!.GetValue<string>()));
    }

    [Theory]
    [InlineData("HKD", 12800, 606)]
    [InlineData("USD", 12800, 401)]
    [InlineData("CNY", 12800, 586)]
    [InlineData("HKD", 400, 247)]
    public async Task The_fee_follows_the_settlement_currency(string currency, long amount, long fee)
    {
        var answer = await api.ChargeAsync(Api.Charge(amount: amount, currency: currency));
        Assert.Equal(fee, answer.Body["settlement"]!["fee"]!.GetValue<long>());
        Assert.Equal(amount - fee, answer.Body["settlement"]!["net"]!.GetValue<long>());
    }

    [Fact]
    public async Task The_same_key_gives_the_first_answer_again()
    {
        var key = Api.NewKey();
        var first = await api.ChargeAsync(Api.Charge(reference: "again"), key);
        var second = await api.ChargeAsync(Api.Charge(reference: "again"), key);
        Assert.Equal((201, first.Text, "true"), (second.Status, second.Text, second["Idempotent-Replayed"]));
        Assert.Null(first["Idempotent-Replayed"]);
        Assert.NotEqual(first["X-Request-ID"], second["X-Request-ID"]);
        Assert.Single(sandbox.Host.Stripe!.Payments(), p => p.Charge == first.Id);
    }

    [Fact]
    public async Task White_space_and_the_order_of_names_do_not_make_another_request()
    {
        var key = Api.NewKey();
        var first = await api.ChargeAsync("{\"amount\":5000,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"token\":\"tok_visa\"}}", key);
        var second = await api.ChargeAsync("{ \"payment_method\": {\"token\":\"tok_visa\",\"type\":\"card\"}, \"currency\":\"HKD\", \"amount\":5000 }", key);
        Assert.Equal(first.Text, second.Text);
    }

    [Fact]
    public async Task The_same_key_with_another_body_is_refused()
    {
        var key = Api.NewKey();
        await api.ChargeAsync(Api.Charge(), key);
        var other = await api.ChargeAsync(Api.Charge(amount: 12900), key);
        Assert.Equal((422, "idempotency_key_reused"), (other.Status, other.Code));
    }

    [Fact]
    public async Task One_key_is_of_one_merchant_and_one_mode()
    {
        var key = Api.NewKey();
        var answers = new[] { await api.ChargeAsync(null, key), await new Api(sandbox.Client, Api.Other).ChargeAsync(null, key), await new Api(sandbox.Client, Api.Live).ChargeAsync(null, key) };
        Assert.All(answers, a => Assert.Equal(201, a.Status));
        Assert.Equal(3, answers.Select(a => a.Id).Distinct().Count());
    }

    [Fact]
    public async Task Thirty_calls_at_once_with_one_key_take_one_payment()
    {
        var key = Api.NewKey();
        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => api.ChargeAsync(Api.Charge(reference: "at once"), key)));
        Assert.All(answers, a => Assert.Contains(a.Status, new[] { 201, 409 }));
        var id = Assert.Single(answers.Where(a => a.Status == 201).Select(a => a.Id).Distinct());
        Assert.Single(sandbox.Host.Stripe!.Payments(), p => p.Charge == id);
        Assert.All(answers.Where(a => a.Status == 409), a => Assert.Equal(("idempotency_key_in_use", "1"), (a.Code, a["Retry-After"])));
        Assert.Equal((201, id), await Summary(api.ChargeAsync(Api.Charge(reference: "at once"), key)));
    }

    [Theory]
    [InlineData("tok_declined", "card_declined", "generic_decline")]
    [InlineData("tok_insufficient_funds", "card_declined", "insufficient_funds")]
    [InlineData("tok_expired_card", "expired_card", "expired_card")]
    [InlineData("tok_nonsense", "payment_method_invalid", "resource_missing")]
    public async Task A_decline_is_402_and_keeps_the_charge_as_failed(string token, string code, string declineCode)
    {
        var key = Api.NewKey();
        var answer = await api.ChargeAsync(Api.Charge(token), key);
        Assert.Equal((402, code, declineCode), (answer.Status, answer.Code, answer.Body["decline_code"]?.GetValue<string>()));

        var charge = await api.GetAsync("/v1/charges/" + answer.Body["charge"]);
        Assert.Equal(("failed", code, 0L), (charge.State, charge.Body["failure"]!["code"]!.GetValue<string>(), charge.Body["settlement"]!["net"]!.GetValue<long>()));
        Assert.Equal(answer.Text, (await api.ChargeAsync(Api.Charge(token), key)).Text);
    }

    [Fact]
    public async Task A_busy_provider_leaves_nothing_behind_and_the_key_works_again()
    {
        var key = Api.NewKey();
        var refused = await api.ChargeAsync(Api.Charge("tok_provider_busy", reference: "busy"), key);
        Assert.Equal((503, "provider_unavailable", true), (refused.Status, refused.Code, refused.Body["retryable"]!.GetValue<bool>()));
        Assert.Empty((await api.GetAsync("/v1/charges?reference=busy")).Body["data"]!.AsArray());
        var second = await api.ChargeAsync(Api.Charge(reference: "busy"), key);
        Assert.Equal(201, second.Status);
        Assert.Single(sandbox.Host.Stripe!.Payments(), p => p.Charge == second.Id);
    }

    [Fact]
    public async Task Refusals_come_in_the_callers_language()
    {
        var answer = await api.PostAsync("/v1/charges", Api.Charge(amount: 1), null, ("Accept-Language", "zh-HK"));
        Assert.Equal(("amount_too_small", "金額低於下限", "HKD 的 amount 必須至少為 400"), (answer.Code, answer.Body["title"]!.GetValue<string>(), answer.Body["detail"]!.GetValue<string>()));
        Assert.Equal("Amount is below the minimum", (await api.PostAsync("/v1/charges", Api.Charge(amount: 1))).Body["title"]!.GetValue<string>());
    }

    [Fact]
    public async Task Every_refusal_has_the_one_shape()
    {
        var answer = await api.PostAsync("/v1/charges", Api.Charge(amount: 0), null, ("X-Request-ID", "shape-1"));
        Assert.Equal("shape-1", answer["X-Request-ID"]);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""
            {"type":"https://docs.harbour.example/errors/amount_too_small","title":"Amount is below the minimum","status":422,"code":"amount_too_small",
             "detail":"amount must be at least 400 for HKD","param":"amount",
             "errors":[{"param":"amount","code":"amount_too_small","detail":"amount must be at least 400 for HKD"}],"request_id":"shape-1","retryable":false}
            """), answer.Body), answer.Text);
    }

    [Fact]
    public async Task Card_numbers_are_refused_and_not_repeated()
    {
        var answer = await api.PostAsync("/v1/charges", new { amount = 500, currency = "HKD", payment_method = new { type = "card", number = "4242424242424242", cvc = "123" } });
        Assert.Equal((422, "raw_card_data_refused"), (answer.Status, answer.Code));
        Assert.DoesNotContain("4242424242424242", answer.Text);
    }

    [Fact]
    public async Task No_body_makes_a_server_error()
    {
        foreach (var body in new[] { "", "{", "[]", "null", "\"x\"", "{\"amount\":1e999}", "{\"amount\":{}}", "{\"currency\":[]}", "{\"payment_method\":[1]}", "{\"metadata\":{\"{0}\":{}}}", "{\"{\":1,\"}\":2}", "\u0000", "{\"reference\":\"\\u0000\"}" })
        {
            var answer = await api.SendAsync(HttpMethod.Post, "/v1/charges", new StringContent(body, Encoding.UTF8, "application/json"), ("Idempotency-Key", Api.NewKey()));
            Assert.InRange(answer.Status, 400, 422);
            Assert.NotNull(answer.Body["request_id"]);
        }
    }

    [Fact]
    public async Task Any_text_that_a_field_may_hold_comes_back_as_it_was()
    {
        const string Text = "\t\n\"\\/ é 十二 😀 \u2028";
        var metadata = Enumerable.Range(0, 50).ToDictionary(i => $"{i:D40}", _ => string.Concat(Enumerable.Repeat("\n十", 250)));
        var made = await api.ChargeAsync(new { amount = 500, currency = "HKD", payment_method = new { type = "card", token = "tok_visa" }, reference = Text, description = Text, metadata });
        Assert.Equal(201, made.Status);
        var read = await api.GetAsync("/v1/charges/" + made.Id);
        Assert.Equal(made.Text, read.Text);
        Assert.Equal(Text, read.Body["reference"]!.GetValue<string>());
        Assert.Equal(metadata["0".PadLeft(40, '0')], read.Body["metadata"]!["0".PadLeft(40, '0')]!.GetValue<string>());
        Assert.Equal(made.Id, (await api.GetAsync("/v1/charges?reference=" + Uri.EscapeDataString(Text))).Body["data"]![0]!["id"]!.GetValue<string>());
    }

    [Fact]
    public async Task What_belongs_to_others_is_not_found()
    {
        var id = (await api.ChargeAsync()).Id;
        foreach (var key in new[] { Api.Other, Api.Live })
        {
            var answer = await new Api(sandbox.Client, key).GetAsync("/v1/charges/" + id);
            Assert.Equal((404, "charge_not_found"), (answer.Status, answer.Code));
        }

        foreach (var none in new[] { "ch_x", "re_01jdb0000000000000000000ab", "ch_01jdb0000000000000000000ab", "%2F..%2F", "ch_%23%3F" })
            Assert.Equal(404, (await api.GetAsync("/v1/charges/" + none)).Status);
    }

    [Fact]
    public async Task Test_and_live_keep_apart_in_lists_and_balances()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        await new Api(http).ChargeAsync();
        var live = new Api(http, Api.Live);
        Assert.Empty((await live.GetAsync("/v1/charges")).Body["data"]!.AsArray());
        Assert.Equal(0, await live.AvailableAsync());
        Assert.Empty((await live.GetAsync("/v1/balance/entries")).Body["data"]!.AsArray());
        Assert.Equal("live", (await live.ChargeAsync()).Body["mode"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_list_is_paged_newest_first_and_filtered()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var own = new Api(http);
        var made = new List<string>();
        for (var i = 0; i < 7; i++)
        {
            var answer = await own.ChargeAsync(Api.Charge(i % 3 == 2 ? "tok_declined" : "tok_visa", reference: "order-" + i % 2));
            made.Add(answer.Status == 201 ? answer.Id : answer.Body["charge"]!.GetValue<string>());
        }

        var pages = new List<string>();
        for (string? path = "/v1/charges?limit=3"; path is not null;)
        {
            var page = (await own.GetAsync(path)).Body;
            pages.AddRange(Ids(page));
            Assert.Equal(page["has_more"]!.GetValue<bool>(), page["next_cursor"] is not null);
            path = page["next_cursor"] is { } next ? "/v1/charges?limit=3&cursor=" + next : null;
        }

        Assert.Equal(Enumerable.Reverse(made), pages);
        Assert.Equal([made[6], made[4], made[2], made[0]], Ids((await own.GetAsync("/v1/charges?reference=order-0")).Body));
        Assert.Equal([made[5], made[2]], Ids((await own.GetAsync("/v1/charges?status=failed")).Body));
        Assert.Equal([made[2]], Ids((await own.GetAsync("/v1/charges?status=failed&reference=order-0")).Body));
        Assert.Empty(Ids((await own.GetAsync("/v1/charges?customer=cus_nobody")).Body));
        Assert.Equal([made[6]], Ids((await own.GetAsync("/v1/charges?reference=order-0&limit=1")).Body));

        var third = (await own.GetAsync("/v1/charges/" + made[3])).Body["created_at"]!.GetValue<string>();
        Assert.Equal([made[6], made[5], made[4]], Ids((await own.GetAsync("/v1/charges?created_after=" + Uri.EscapeDataString(third))).Body));
        Assert.Equal([made[2], made[1], made[0]], Ids((await own.GetAsync("/v1/charges?created_before=" + third)).Body));
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=101", "limit")]
    [InlineData("limit=x", "limit")]
    [InlineData("cursor=x", "cursor")]
    [InlineData("status=done", "status")]
    [InlineData("created_after=yesterday", "created_after")]
    [InlineData("created_after=2026-11-23T10:00:00", "created_after")]
    [InlineData("created_after=9999-12-31T23:59:59.9999999Z", "created_after")]
    [InlineData("created_before=0001-01-01T00:00:00Z", "created_before")]
    [InlineData("colour=red", "colour")]
    [InlineData("limit=1&limit=2", "limit")]
    public async Task A_query_that_is_not_valid_is_refused_by_its_name(string query, string param)
    {
        var answer = await api.GetAsync("/v1/charges?" + query);
        Assert.Equal((422, param), (answer.Status, answer.Body["param"]!.GetValue<string>()));
    }

    [Fact]
    public async Task Balance_entries_are_paged_newest_first()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var own = new Api(http);
        for (var i = 0; i < 3; i++) await own.ChargeAsync(Api.Charge(currency: i == 1 ? "USD" : "HKD"));
        var all = (await own.GetAsync("/v1/balance/entries")).Body["data"]!.AsArray().Select(e => e!.ToJsonString()).ToList();
        Assert.Equal(6, all.Count);

        var paged = new List<string>();
        for (string? path = "/v1/balance/entries?limit=4"; path is not null;)
        {
            var page = (await own.GetAsync(path)).Body;
            paged.AddRange(page["data"]!.AsArray().Select(e => e!.ToJsonString()));
            path = page["next_cursor"] is { } next ? "/v1/balance/entries?limit=4&cursor=" + next : null;
        }

        Assert.Equal(all, paged);
        Assert.Equal(2, (await own.GetAsync("/v1/balance/entries?currency=USD")).Body["data"]!.AsArray().Count);
        Assert.Equal(422, (await own.GetAsync("/v1/balance/entries?cursor=nonsense")).Status);
    }

    private static IEnumerable<string> Ids(JsonNode page) => page["data"]!.AsArray().Select(c => c!["id"]!.GetValue<string>());

    private static async Task<(int, string)> Summary(Task<ApiAnswer> asking)
    {
        var answer = await asking;
        return (answer.Status, answer.Id);
    }
}
