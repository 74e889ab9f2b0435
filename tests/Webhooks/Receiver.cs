using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Harbour.Tests.Webhooks;

/// <summary>What a receiver was sent, with the bytes as they came.</summary>
public sealed record Received(string Path, IReadOnlyDictionary<string, string> Headers, byte[] Bytes)
{
    public string Id => Headers["webhook-id"];
    public string Timestamp => Headers["webhook-timestamp"];
    public string[] Signatures => Headers["webhook-signature"].Split(' ');
    public JsonNode Body => JsonNode.Parse(Bytes)!;
    public string Type => Body["type"]!.GetValue<string>();
    public string ObjectId => Body["data"]!["object"]!["id"]!.GetValue<string>();

    /// <summary>The signature as anybody would make it who has read the specification and nothing of our code.</summary>
    public string SignatureWith(string secret)
    {
        using var hmac = new HMACSHA256(Convert.FromBase64String(secret["whsec_".Length..]));
        return "v1," + Convert.ToBase64String(hmac.ComputeHash(Encoding.UTF8.GetBytes($"{Id}.{Timestamp}.{Encoding.UTF8.GetString(Bytes)}")));
    }
}

/// <summary>A merchant's server on loopback. It answers 200 unless told otherwise, and remembers what it was sent.</summary>
public sealed class Receiver : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly ConcurrentQueue<Received> all = new();

    private Receiver(WebApplication app) => this.app = app;

    public Func<Received, HttpContext, Task> Answer { get; set; } = (_, _) => Task.CompletedTask;

    public IReadOnlyList<Received> All => [.. all];

    public Uri Address => new(app.Urls.Single());

    public static async Task<Receiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var receiver = new Receiver(builder.Build());
        receiver.app.Run(receiver.ReceiveAsync);
        await receiver.app.StartAsync();
        return receiver;
    }

    public string Url(string path = "/hook") => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{Address.Port}{path}");

    public void AnswerWith(int status, string body = "") => Answer = (_, http) =>
    {
        http.Response.StatusCode = status;
        return http.Response.WriteAsync(body);
    };

    public IReadOnlyList<Received> At(string path) => [.. all.Where(r => r.Path == path)];

    public async ValueTask DisposeAsync() => await app.DisposeAsync();

    private async Task ReceiveAsync(HttpContext http)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body);
        var received = new Received(http.Request.Path, http.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase), body.ToArray());
        all.Enqueue(received);
        await Answer(received, http);
    }
}
