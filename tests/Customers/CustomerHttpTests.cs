using System.Text.Json.Nodes;

namespace Harbour.Tests.Customers;

[Collection(nameof(UsesSandbox))]
public sealed class CustomerHttpTests(SandboxFixture sandbox)
{
    private readonly Api api = new(sandbox.Client);

    [Fact]
    public async Task A_customer_is_made_shown_and_changed()
    {
        var made = await api.PostAsync("/v1/customers", new { name = "陳大文", email = "Tai.Man@example.hk", phone = "+852 9123 4567", reference = "c-1001", metadata = new { tier = "gold" } });
        Assert.Equal(201, made.Status);
        var created = made.Body["created_at"]!.GetValue<string>();
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse($$"""
            {"id":"{{made.Id}}","object":"customer","mode":"test","name":"陳大文","email":"Tai.Man@example.hk","phone":"+852 9123 4567","reference":"c-1001","description":null,
             "metadata":{"tier":"gold"},"version":1,"request_id":"{{made["X-Request-ID"]}}","created_at":"{{created}}","updated_at":"{{made.Body["updated_at"]}}"}
            """), made.Body), made.Text);
        Assert.StartsWith("cus_", made.Id);
        Assert.Equal(made.Text, (await api.GetAsync("/v1/customers/" + made.Id)).Text);

        var changed = await api.PostAsync("/v1/customers/" + made.Id, new { email = "", description = "met at the fair" });
        Assert.Equal((200, 2, null, "met at the fair", "陳大文", "gold"),
            (changed.Status, changed.Body["version"]!.GetValue<int>(), changed.Body["email"], changed.Body["description"]!.ToString(), changed.Body["name"]!.ToString(), changed.Body["metadata"]!["tier"]!.ToString()));
        Assert.Equal(changed.Text, (await api.GetAsync("/v1/customers/" + made.Id)).Text);
    }

    [Fact]
    public async Task A_key_is_honoured_where_it_is_sent_and_need_not_be()
    {
        var key = Api.NewKey();
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => api.PostAsync("/v1/customers", new { reference = "one key" }, key)));
        Assert.Single(answers.Where(a => a.Status == 201).Select(a => a.Id).Distinct());
        Assert.Single(await ListAsync("reference=one%20key"));
        Assert.Equal((422, "idempotency_key_reused"), Refusal(await api.PostAsync("/v1/customers", new { reference = "other" }, key)));

        for (var i = 0; i < 2; i++)
            Assert.Equal(201, (await api.SendAsync(HttpMethod.Post, "/v1/customers", new StringContent("""{"reference":"no key"}""", System.Text.Encoding.UTF8, "application/json"))).Status);
        Assert.Equal(2, (await ListAsync("reference=no%20key")).Count);
    }

    [Fact]
    public async Task Changes_at_once_are_all_made()
    {
        var id = (await api.PostAsync("/v1/customers", new { name = "a" })).Id;
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => api.PostAsync("/v1/customers/" + id, new { reference = "r" + i })));
        Assert.All(answers, a => Assert.Equal(200, a.Status));
        var last = (await api.GetAsync("/v1/customers/" + id)).Body;
        Assert.Equal(9, last["version"]!.GetValue<int>());
        for (var i = 0; i < 8; i++) Assert.Equal(last["reference"]!.ToString() == "r" + i, (await ListAsync("reference=r" + i)).Contains(id));
    }

    [Fact]
    public async Task A_list_is_paged_newest_first_and_filtered()
    {
        var made = new List<string>();
        for (var i = 0; i < 5; i++) made.Add((await api.PostAsync("/v1/customers", new { reference = "list-" + i % 2, email = "List@example.hk" })).Id);
        Assert.Equal([made[4], made[3], made[2], made[1], made[0]], await ListAsync("email=list@EXAMPLE.hk"));
        Assert.Equal([made[4], made[2], made[0]], await ListAsync("reference=list-0&email=list@example.hk"));
        Assert.Empty(await ListAsync("reference=list-0&email=other@example.hk"));

        var pages = new List<string>();
        for (string? path = "email=list@example.hk&limit=2"; path is not null;)
        {
            var page = (await api.GetAsync("/v1/customers?" + path)).Body;
            pages.AddRange(page["data"]!.AsArray().Select(c => c!["id"]!.GetValue<string>()));
            path = page["next_cursor"] is { } next ? "email=list@example.hk&limit=2&cursor=" + next : null;
        }

        Assert.Equal(Enumerable.Reverse(made), pages);
        var third = Uri.EscapeDataString((await api.GetAsync("/v1/customers/" + made[2])).Body["created_at"]!.GetValue<string>());
        Assert.Equal([made[4], made[3]], await ListAsync("email=list@example.hk&created_after=" + third));
        Assert.Equal([made[1], made[0]], await ListAsync("email=list@example.hk&created_before=" + third));
        Assert.Equal(made[4], (await ListAsync("limit=1"))[0]);
    }

    [Fact]
    public async Task What_belongs_to_others_is_not_found_and_scopes_count()
    {
        var id = (await api.PostAsync("/v1/customers", new { })).Id;
        foreach (var other in new[] { new Api(sandbox.Client, Api.Other), new Api(sandbox.Client, Api.Live) })
        {
            Assert.Equal((404, "customer_not_found"), Refusal(await other.GetAsync("/v1/customers/" + id)));
            Assert.Equal((404, "customer_not_found"), Refusal(await other.PostAsync("/v1/customers/" + id, new { name = "x" })));
            Assert.Equal((404, "customer_not_found"), Refusal(await other.GetAsync($"/v1/customers/{id}/mandates")));
            Assert.Equal((404, "customer_not_found"), Refusal(await other.ChargeAsync(new { amount = 12800, currency = "HKD", customer = id, payment_method = new { type = "card", token = "tok_visa" } })));
        }

        Assert.Equal((404, "customer_not_found"), Refusal(await api.GetAsync("/v1/customers/cus_x")));
        Assert.Equal((403, "insufficient_scope"), Refusal(await new Api(sandbox.Client, Api.ReadOnly).GetAsync("/v1/customers/" + id)));
    }

    private async Task<List<string>> ListAsync(string query) =>
        [.. (await api.GetAsync("/v1/customers?" + query)).Body["data"]!.AsArray().Select(c => c!["id"]!.GetValue<string>())];

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
