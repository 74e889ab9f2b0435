using System.Text.Json.Nodes;
using Harbour.Foundation;
using Harbour.Operations;
using Harbour.Sandbox;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Customers;

[Collection(nameof(UsesSandbox))]
public sealed class MandateHttpTests(SandboxFixture sandbox) : IAsyncLifetime
{
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
        customer = (await api.PostAsync("/v1/customers", new { name = "陳大文" })).Id;
    }

    public async Task DisposeAsync()
    {
        http.Dispose();
        await host.DisposeAsync();
    }

    [Fact]
    public async Task An_authorisation_is_stored_without_a_charge_and_says_nothing_of_the_provider()
    {
        var made = await SetUpAsync("tok_visa");
        Assert.Equal(201, made.Status);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse($$"""
            {"id":"{{made.Id}}","object":"mandate","mode":"test","customer":"{{customer}}","status":"active",
             "payment_method":{"type":"card","card":{"brand":"visa","last4":"4242","country":"US","fingerprint":"{{made.Body["payment_method"]!["card"]!["fingerprint"]}}"} },
             "provider":{"name":"stripe"},"created_by":null,"next_action":null,"failure":null,"version":2,"request_id":"{{made["X-Request-ID"]}}",
             "created_at":"{{made.Body["created_at"]}}","updated_at":"{{made.Body["updated_at"]}}"}
            """), made.Body), made.Text);
        Assert.Equal(made.Text, (await api.GetAsync("/v1/mandates/" + made.Id)).Text);
        Assert.Empty(host.Stripe!.Payments());
        Assert.Equal(["mandate.active"], await EventsAsync(made.Id));

        var second = await SetUpAsync("tok_mastercard");
        Assert.Equal([second.Id, made.Id], await ListAsync(""));
        var page = (await api.GetAsync($"/v1/customers/{customer}/mandates?limit=1")).Body;
        Assert.Equal([made.Id], await ListAsync("?limit=1&cursor=" + page["next_cursor"]));
    }

    [Theory]
    [InlineData("tok_declined", "card_declined", "generic_decline")]
    [InlineData("tok_expired_card", "expired_card", "expired_card")]
    [InlineData("tok_nonsense", "payment_method_invalid", "resource_missing")]
    public async Task A_decline_is_402_and_names_the_mandate_that_is_over(string token, string code, string declineCode)
    {
        var key = Api.NewKey();
        var refused = await SetUpAsync(token, key);
        Assert.Equal((402, code, declineCode), (refused.Status, refused.Code, refused.Body["decline_code"]!.ToString()));
        var mandate = (await api.GetAsync("/v1/mandates/" + refused.Body["mandate"])).Body;
        Assert.Equal(("expired", code), (mandate["status"]!.ToString(), mandate["failure"]!["code"]!.ToString()));
        Assert.Equal(refused.Text, (await SetUpAsync(token, key)).Text);
        Assert.Equal((409, "mandate_not_active"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = refused.Body["mandate"]!.ToString() })));
    }

    [Theory]
    [InlineData("success", "active")]
    [InlineData("failure", "expired")]
    public async Task A_challenge_leaves_it_pending_until_the_payer_has_answered(string outcome, string final)
    {
        var waiting = await SetUpAsync("tok_3ds_required");
        Assert.Equal((201, "pending", "redirect"), (waiting.Status, waiting.State, waiting.Body["next_action"]!["type"]!.ToString()));
        Assert.Equal((409, "mandate_not_active"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = waiting.Id })));
        await api.AdvanceAsync("00:06:00");
        Assert.Equal("pending", (await api.GetAsync("/v1/mandates/" + waiting.Id)).State);

        var path = new Uri(waiting.Body["next_action"]!["url"]!.ToString()).AbsolutePath;
        Assert.Equal(200, (await api.GetAsync($"{path}?outcome={outcome}")).Status);
        await api.AdvanceAsync("00:10:00");
        Assert.Equal(final, (await api.GetAsync("/v1/mandates/" + waiting.Id)).State);
        Assert.Equal(["mandate." + final], await EventsAsync(waiting.Id));
        await NothingIsOpenAsync();
    }

    [Fact]
    public async Task What_nobody_confirms_within_a_day_expires()
    {
        var waiting = await SetUpAsync("tok_3ds_required");
        await api.AdvanceAsync("20:00:00");
        Assert.Equal("pending", (await api.GetAsync("/v1/mandates/" + waiting.Id)).State);
        await api.AdvanceAsync("10:00:00");
        Assert.Equal("expired", (await api.GetAsync("/v1/mandates/" + waiting.Id)).State);
        await NothingIsOpenAsync();
    }

    [Fact]
    public async Task A_lost_answer_is_202_and_never_a_second_mandate()
    {
        var key = Api.NewKey();
        var first = await SetUpAsync("tok_timeout_not_charged", key);
        Assert.Equal((202, "pending"), (first.Status, first.State));
        Assert.Equal((202, first.Id), await Summary(SetUpAsync("tok_timeout_not_charged", key)));
        await api.AdvanceAsync("30:00:00");
        Assert.Equal("expired", (await api.GetAsync("/v1/mandates/" + first.Id)).State);
        Assert.Equal([first.Id], await ListAsync(""));
        await NothingIsOpenAsync();
    }

    [Fact]
    public async Task A_provider_that_is_away_leaves_nothing_behind_and_the_key_works_again()
    {
        var key = Api.NewKey();
        await api.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        Assert.Equal((503, "provider_unavailable"), Refusal(await SetUpAsync("tok_visa", key)));
        await api.PostAsync("/sandbox/faults", new { provider = "stripe" });
        var busy = Api.NewKey();
        Assert.Equal((503, "provider_unavailable"), Refusal(await SetUpAsync("tok_provider_busy", busy)));
        Assert.Empty(await ListAsync(""));
        Assert.Equal(201, (await SetUpAsync("tok_visa", key)).Status);
        // The key of a mandate that left nothing behind may go to another kind of object.
        Assert.Equal(201, (await api.ChargeAsync(null, busy)).Status);
        Assert.Single(await ListAsync(""));
    }

    [Fact]
    public async Task Many_calls_with_one_key_store_one_mandate()
    {
        var key = Api.NewKey();
        var answers = await Task.WhenAll(Enumerable.Range(0, 15).Select(_ => SetUpAsync("tok_visa", key)));
        Assert.All(answers, a => Assert.Contains(a.Status, new[] { 201, 409 }));
        var id = Assert.Single(answers.Where(a => a.Status == 201).Select(a => a.Id).Distinct());
        Assert.Equal([id], await ListAsync(""));
        Assert.Equal(["mandate.active"], await EventsAsync(id));
    }

    [Fact]
    public async Task A_mandate_is_revoked_once_and_charged_no_more()
    {
        var id = (await SetUpAsync("tok_visa")).Id;
        Assert.Equal(201, (await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = id })).Status);
        var key = Api.NewKey();
        var revoked = await api.PostAsync($"/v1/mandates/{id}/revoke", null, key);
        Assert.Equal((200, "revoked"), (revoked.Status, revoked.State));
        Assert.Equal(revoked.Text, (await api.PostAsync($"/v1/mandates/{id}/revoke", null, key)).Text);
        Assert.Equal((409, "invalid_transition"), Refusal(await api.PostAsync($"/v1/mandates/{id}/revoke", null)));
        Assert.Equal((409, "mandate_not_active"), Refusal(await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = id })));
        Assert.Equal(["mandate.active", "mandate.revoked"], await EventsAsync(id));

        // It is revoked here whether or not the provider can be told.
        var second = (await SetUpAsync("tok_visa")).Id;
        await api.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        Assert.Equal(200, (await api.PostAsync($"/v1/mandates/{second}/revoke", null)).Status);
    }

    [Fact]
    public async Task Others_do_not_see_it_and_fields_are_checked()
    {
        var id = (await SetUpAsync("tok_visa")).Id;
        foreach (var other in new[] { new Api(http, Api.Other), new Api(http, Api.Live) })
        {
            Assert.Equal((404, "mandate_not_found"), Refusal(await other.GetAsync("/v1/mandates/" + id)));
            Assert.Equal((404, "mandate_not_found"), Refusal(await other.PostAsync($"/v1/mandates/{id}/revoke", null)));
            Assert.Equal((404, "mandate_not_found"), Refusal(await other.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = id })));
        }

        Assert.Equal((404, "customer_not_found"), Refusal(await api.PostAsync("/v1/customers/cus_01jdb0000000000000000000ab/mandates", Body("tok_visa"))));
        Assert.Equal((422, "field_required"), Refusal(await api.PostAsync($"/v1/customers/{customer}/mandates", new { })));
        Assert.Equal((422, "payment_method_not_supported"), Refusal(await api.PostAsync($"/v1/customers/{customer}/mandates", new { payment_method = new { type = "fps", token = "t" } })));
        Assert.Equal((422, "field_unknown"), Refusal(await api.PostAsync($"/v1/mandates/{id}/revoke", new { why = "x" })));
    }

    private static object Body(string token) => new { payment_method = new { type = "card", token } };

    private Task<ApiAnswer> SetUpAsync(string token, string? key = null) => api.PostAsync($"/v1/customers/{customer}/mandates", Body(token), key);

    private async Task<List<string>> ListAsync(string query) =>
        [.. (await api.GetAsync($"/v1/customers/{customer}/mandates{query}")).Body["data"]!.AsArray().Select(m => m!["id"]!.GetValue<string>())];

    private async Task NothingIsOpenAsync() => Assert.Null(await host.Services.GetRequiredService<Janitor>().NextDueAsync(default));

    /// <summary>The types of the events that hold an object, oldest first, read from the books themselves.</summary>
    private async Task<List<string>> EventsAsync(string id)
    {
        var rows = await host.Services.GetRequiredService<Books>().ScanAsync(new Book(Seed.Demo.Value, Mode.Test), "event|", "event|" + Books.Last).ToListAsync();
        return [.. rows.Select(row => Books.Row<JsonNode>(row).Value).Where(e => e["data"]!["object"]!["id"]!.GetValue<string>() == id).Select(e => e["type"]!.GetValue<string>()).Reverse()];
    }

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);

    private static async Task<(int, string)> Summary(Task<ApiAnswer> asking) => ((await asking).Status, (await asking).Id);
}
