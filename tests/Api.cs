using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Harbour.Tests;

/// <summary>An answer of the API as a client sees it.</summary>
public sealed record ApiAnswer(int Status, JsonNode Body, string Text, HttpResponseHeaders Headers)
{
    public string? this[string header] => Headers.TryGetValues(header, out var values) ? string.Join(", ", values) : null;
    public string Id => Body["id"]!.GetValue<string>();
    public string? Code => Body["code"]?.GetValue<string>();
    public string State => Body["status"]!.ToString();
}

/// <summary>A client with a key, that speaks to a host as a merchant does.</summary>
public sealed class Api(HttpClient http, string key = Api.Demo)
{
    public const string Demo = "sk_test_harbour_demo", Live = "sk_live_harbour_demo", Other = "sk_test_harbour_other", ReadOnly = "sk_test_harbour_readonly";

    private static int made;

    public static string NewKey() => "key-" + Interlocked.Increment(ref made);

    public static object Charge(string token = "tok_visa", long amount = 12800, string currency = "HKD", string? reference = null, string capture = "automatic") =>
        new { amount, currency, payment_method = new { type = "card", token }, reference, capture_method = capture };

    public Task<ApiAnswer> GetAsync(string path, params (string Name, string Value)[] headers) => SendAsync(HttpMethod.Get, path, null, headers);

    public Task<ApiAnswer> PostAsync(string path, object? body, string? idempotencyKey = null, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, path, body is null ? null : new StringContent(body as string ?? JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"),
            [("Idempotency-Key", idempotencyKey ?? NewKey()), .. headers]);

    public Task<ApiAnswer> ChargeAsync(object? body = null, string? idempotencyKey = null) => PostAsync("/v1/charges", body ?? Charge(), idempotencyKey);

    public async Task<long> AvailableAsync(string currency = "HKD") =>
        (await GetAsync("/v1/balance")).Body["balances"]!.AsArray().Single(b => b!["currency"]!.GetValue<string>() == currency)!["available"]!.GetValue<long>();

    /// <summary>Moves the sandbox's clock.</summary>
    public Task<ApiAnswer> AdvanceAsync(string by) => PostAsync("/sandbox/clock/advance", new { by });

    public async Task<ApiAnswer> SendAsync(HttpMethod method, string path, HttpContent? content, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        if (key.Length > 0) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        using var response = await http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return new ApiAnswer((int)response.StatusCode, (text.StartsWith('{') ? JsonNode.Parse(text) : null) ?? new JsonObject(), text, response.Headers);
    }
}
