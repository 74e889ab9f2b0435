using System.Text.Json.Nodes;
using Azure.Data.Tables;
using Harbour.Sandbox;
using Harbour.Webhooks;

namespace Harbour.Tests.Webhooks;

[Collection(nameof(UsesSandbox))]
public sealed class WebhookEndpointHttpTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private SandboxHost host = null!;
    private HttpClient http = null!;
    private Api api = null!;

    public async Task InitializeAsync()
    {
        host = await sandbox.StartHostAsync(new SandboxOptions());
        http = new HttpClient { BaseAddress = host.BaseAddress };
        api = new Api(http);
    }

    public async Task DisposeAsync()
    {
        http.Dispose();
        await host.DisposeAsync();
    }

    [Fact]
    public async Task An_endpoint_answers_as_the_contract_shows_and_its_secret_once()
    {
        var made = await api.PostAsync("/v1/webhook_endpoints", new { url = "https://shop.example/hooks", events = new[] { "charge.*", "refund.failed" }, description = "till" });
        Assert.Equal(201, made.Status);
        Assert.StartsWith("whe_", made.Id);
        var secret = made.Body["secret"]!.GetValue<string>();
        Assert.Matches("^whsec_[A-Za-z0-9+/]{32,}=*$", secret);
        var (created, updated) = (made.Body["created_at"]!.GetValue<string>(), made.Body["updated_at"]!.GetValue<string>());
        var read = await api.GetAsync("/v1/webhook_endpoints/" + made.Id);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse($$"""
            {"id":"{{made.Id}}","object":"webhook_endpoint","mode":"test","url":"https://shop.example/hooks","events":["charge.*","refund.failed"],
             "description":"till","status":"enabled","disabled_reason":null,"previous_secret_until":null,"version":1,"created_at":"{{created}}","updated_at":"{{updated}}"}
            """), read.Body), read.Text);
        made.Body.AsObject().Remove("secret");
        Assert.True(JsonNode.DeepEquals(made.Body, read.Body));
        Assert.DoesNotContain("secret\"", (await api.GetAsync("/v1/webhook_endpoints")).Text);
    }

    [Fact]
    public async Task The_same_key_gives_the_same_endpoint_and_the_same_secret_and_no_row_holds_it()
    {
        var key = Api.NewKey();
        var first = await MakeAsync(key);
        var second = await MakeAsync(key);
        Assert.Equal((201, first.Text, "true"), (second.Status, second.Text, second["Idempotent-Replayed"]));
        Assert.Single(Data(await api.GetAsync("/v1/webhook_endpoints")));
        var rotated = await api.PostAsync($"/v1/webhook_endpoints/{first.Id}/rotate_secret", null, key + "r");
        Assert.Equal(rotated.Text, (await api.PostAsync($"/v1/webhook_endpoints/{first.Id}/rotate_secret", null, key + "r")).Text);

        var secrets = new[] { first, rotated }.Select(a => a.Body["secret"]!.GetValue<string>()).ToList();
        Assert.Equal(2, secrets.Distinct().Count());
        var rows = await new TableClient(host.StorageConnectionString, "books").QueryAsync<TableEntity>().ToListAsync();
        Assert.NotEmpty(rows);
        Assert.DoesNotContain(rows, row => ((IDictionary<string, object>)row).Values.OfType<string>().Any(text => text.Contains("whsec_", StringComparison.Ordinal) || secrets.Any(s => text.Contains(s[6..], StringComparison.Ordinal))));
    }

    [Fact]
    public async Task Endpoints_are_listed_newest_first_in_pages()
    {
        var made = new List<string>();
        for (var i = 0; i < 3; i++) made.Insert(0, (await MakeAsync()).Id);
        var page = await api.GetAsync("/v1/webhook_endpoints?limit=2");
        Assert.Equal(made[..2], Data(page).Select(e => e!["id"]!.GetValue<string>()));
        var rest = await api.GetAsync("/v1/webhook_endpoints?limit=2&cursor=" + page.Body["next_cursor"]);
        Assert.Equal(made[2], Assert.Single(Data(rest))!["id"]!.GetValue<string>());
        Assert.Null(rest.Body["next_cursor"]);
    }

    [Fact]
    public async Task An_endpoint_is_changed_and_deleted()
    {
        var id = (await MakeAsync()).Id;
        var changed = await api.PostAsync("/v1/webhook_endpoints/" + id, new { url = "https://new.example/", events = new[] { "refund.*" }, status = "disabled" });
        Assert.Equal((200, "disabled", "disabled_by_merchant", 2), (changed.Status, changed.State, changed.Body["disabled_reason"]!.GetValue<string>(), changed.Body["version"]!.GetValue<int>()));
        Assert.Equal("https://new.example/", changed.Body["url"]!.GetValue<string>());
        Assert.Equal("enabled", (await api.PostAsync("/v1/webhook_endpoints/" + id, new { status = "enabled" })).State);

        var deleted = await DeleteAsync(id);
        Assert.Equal((200, id, true), (deleted.Status, deleted.Id, deleted.Body["deleted"]!.GetValue<bool>()));
        Assert.Equal((404, "webhook_endpoint_not_found"), Refusal(await api.GetAsync("/v1/webhook_endpoints/" + id)));
        Assert.Equal(404, (await DeleteAsync(id)).Status);
        Assert.Equal(404, (await api.PostAsync($"/v1/webhook_endpoints/{id}/rotate_secret", null)).Status);
    }

    [Fact]
    public async Task The_seventeenth_endpoint_is_refused_also_when_many_are_made_at_once()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, WebhookEndpoint.MaxPerBook + 4).Select(_ => MakeAsync()));
        Assert.Equal(WebhookEndpoint.MaxPerBook, answers.Count(a => a.Status == 201));
        Assert.All(answers.Where(a => a.Status != 201), a => Assert.Equal((422, "limit_exceeded"), Refusal(a)));
        await DeleteAsync(answers.First(a => a.Status == 201).Id);
        Assert.Equal(201, (await MakeAsync()).Status);
    }

    [Fact]
    public async Task One_mode_and_merchant_sees_nothing_of_another()
    {
        var id = (await MakeAsync()).Id;
        foreach (var other in new[] { new Api(http, Api.Live), new Api(http, Api.Other) })
        {
            Assert.Equal(404, (await other.GetAsync("/v1/webhook_endpoints/" + id)).Status);
            Assert.Equal(404, (await other.PostAsync("/v1/webhook_endpoints/" + id, new { status = "disabled" })).Status);
            Assert.Empty(Data(await other.GetAsync("/v1/webhook_endpoints")));
        }

        Assert.Equal((403, "insufficient_scope"), Refusal(await new Api(http, Api.ReadOnly).GetAsync("/v1/webhook_endpoints/" + id)));
    }

    [Theory]
    [InlineData("https://127.0.0.1/hooks")]
    [InlineData("https://localhost/hooks")]
    [InlineData("https://[::ffff:10.0.0.1]/")]
    [InlineData("https://169.254.169.254/metadata")]
    [InlineData("http://shop.example/")]
    public async Task Live_mode_refuses_urls_of_our_own_network(string url)
    {
        var answer = await new Api(http, Api.Live).PostAsync("/v1/webhook_endpoints", new { url, events = new[] { "*" } });
        Assert.Equal((422, "url_not_allowed"), Refusal(answer));
        Assert.Equal("url", answer.Body["param"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("604801")]
    [InlineData("1.5")]
    [InlineData("\"soon\"")]
    public async Task An_overlap_is_a_whole_number_of_seconds_up_to_a_week(string overlap)
    {
        var id = (await MakeAsync()).Id;
        Assert.Equal((422, "field_invalid"), Refusal(await api.PostAsync($"/v1/webhook_endpoints/{id}/rotate_secret", $$"""{"expires_in":{{overlap}}}""")));
    }

    private Task<ApiAnswer> MakeAsync(string? key = null) =>
        api.PostAsync("/v1/webhook_endpoints", new { url = "https://shop.example/hooks", events = new[] { "*" } }, key);

    private Task<ApiAnswer> DeleteAsync(string id) => api.SendAsync(HttpMethod.Delete, "/v1/webhook_endpoints/" + id, null);

    private static JsonArray Data(ApiAnswer answer) => answer.Body["data"]!.AsArray();

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
