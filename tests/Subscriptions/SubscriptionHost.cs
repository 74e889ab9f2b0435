using System.Globalization;
using System.Text.Json.Nodes;
using Harbour.Sandbox;

namespace Harbour.Tests.Subscriptions;

/// <summary>A host of its own with a clock of its own, and what a merchant does who has subscribers.</summary>
internal sealed class SubscriptionHost : IAsyncDisposable
{
    private readonly HttpClient http;

    private SubscriptionHost(SandboxHost host)
    {
        Host = host;
        http = new HttpClient { BaseAddress = host.BaseAddress };
        Api = new Api(http);
    }

    public SandboxHost Host { get; }
    public Api Api { get; }

    public static async Task<SubscriptionHost> StartAsync(SandboxFixture sandbox, SandboxOptions? options = null) => new(await sandbox.StartHostAsync(options ?? new SandboxOptions()));

    /// <summary>A customer and the mandate that a first payment with this card made.</summary>
    public async Task<(string Customer, string Mandate)> MandateAsync(string token = "tok_visa")
    {
        var customer = await Api.PostAsync("/v1/customers", new { name = "Chan Tai Man" });
        Assert.Equal(201, customer.Status);
        var charge = await Api.ChargeAsync(new { amount = 1000, currency = "HKD", payment_method = new { type = "card", token }, customer = customer.Id, setup_mandate = true });
        Assert.True(charge.Status == 201, charge.Text);
        return (customer.Id, charge.Body["mandate"]!.ToString());
    }

    /// <summary>A monthly subscription of HKD 128.00, unless the body says otherwise.</summary>
    public async Task<ApiAnswer> SubscribeAsync(string token = "tok_visa", JsonObject? with = null, string? idempotencyKey = null)
    {
        var (customer, mandate) = await MandateAsync(token);
        var body = new JsonObject { ["customer"] = customer, ["mandate"] = mandate, ["amount"] = 12800, ["currency"] = "HKD", ["interval"] = "month" };
        foreach (var (name, value) in with ?? []) body[name] = value?.DeepClone();
        var made = await Api.PostAsync("/v1/subscriptions", body.ToJsonString(), idempotencyKey);
        Assert.True(made.Status == 201, made.Text);
        return made;
    }

    public Task<ApiAnswer> GetAsync(string subscription) => Api.GetAsync("/v1/subscriptions/" + subscription);

    public async Task<List<JsonNode>> InvoicesAsync(string subscription) =>
        [.. (await Api.GetAsync($"/v1/subscriptions/{subscription}/invoices?limit=100")).Body["data"]!.AsArray().Select(invoice => invoice!)];

    /// <summary>The types of the events about an object, the oldest first.</summary>
    public async Task<List<string>> EventsAsync(string id) =>
        [.. (await Api.GetAsync("/v1/events?limit=100")).Body["data"]!.AsArray().Where(e => e!["data"]!["object"]!["id"]!.ToString() == id).Select(e => e!["type"]!.ToString()).Reverse()];

    public static DateTimeOffset Time(JsonNode? node) => DateTimeOffset.Parse(node!.ToString(), CultureInfo.InvariantCulture);

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await Host.DisposeAsync();
    }
}
