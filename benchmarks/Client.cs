using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Harbour.Benchmarks;

/// <summary>A merchant with a key, over HTTP as any other.</summary>
public sealed class Client : IDisposable
{
    private readonly HttpClient http;
    private int made;

    public Client(Uri address, string key)
    {
        http = new HttpClient(new SocketsHttpHandler { UseCookies = false, UseProxy = false }) { BaseAddress = address };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    /// <summary>Makes a charge of HK$128.00 and answers its id.</summary>
    public async Task<string> ChargeAsync()
    {
        var number = Interlocked.Increment(ref made);
        return await PostAsync("/v1/charges", number,
            $$"""{"amount":12800,"currency":"HKD","payment_method":{"type":"card","token":"tok_visa"},"reference":"order-{{number:D8}}"}""");
    }

    /// <summary>Gives HK$1.00 of a charge back and answers the refund's id.</summary>
    public Task<string> RefundAsync(string charge) => PostAsync($"/v1/charges/{charge}/refunds", Interlocked.Increment(ref made), """{"amount":100}""");

    /// <summary>What is available in Hong Kong dollars, in cents.</summary>
    public async Task<long> AvailableAsync()
    {
        using var json = JsonDocument.Parse(await http.GetStringAsync("/v1/balance"));
        return json.RootElement.GetProperty("balances")[0].GetProperty("available").GetInt64();
    }

    public void Dispose() => http.Dispose();

    private async Task<string> PostAsync(string path, int number, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Add("Idempotency-Key", $"benchmark-{number:D8}");
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsByteArrayAsync();
        if ((int)answer.StatusCode != 201) throw new InvalidOperationException($"{path} was answered with {(int)answer.StatusCode}: {Encoding.UTF8.GetString(text)}");
        using var json = JsonDocument.Parse(text);
        return json.RootElement.GetProperty("id").GetString()!;
    }
}
