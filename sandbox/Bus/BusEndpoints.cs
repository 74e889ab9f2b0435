using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox.Bus;

/// <summary>
/// The dead letters of a queue, which in Azure the portal shows. Only the sandbox has these, so they are no functions.
/// <para>
/// GET /sandbox/bus/{queue}/dead_letters lists them, oldest first.
/// POST /sandbox/bus/{queue}/dead_letters/redrive enqueues them anew, as if they had never been delivered: all of them, or with
/// {"message_id":"…"} the ones of that id. It answers {"redriven": how many}.
/// </para>
/// </summary>
internal static class BusEndpoints
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static void MapBus(this WebApplication app)
    {
        var storage = app.Services.GetRequiredService<BusStorage>();
        var arrivals = app.Services.GetRequiredService<BusArrivals>();
        var clock = app.Services.GetRequiredService<TimeProvider>();
        var letters = new DeadLetters(storage);

        app.MapGet("/sandbox/bus/{queue}/dead_letters", (RequestDelegate)(async http =>
        {
            var all = await letters.ReadAsync(Queue(http), http.RequestAborted);
            await Results.Json(new { data = all.Select(Show) }, Json).ExecuteAsync(http);
        }));
        app.MapPost("/sandbox/bus/{queue}/dead_letters/redrive", (RequestDelegate)(async http =>
        {
            var wanted = await ReadMessageIdAsync(http);
            var chosen = (await letters.ReadAsync(Queue(http), http.RequestAborted)).FindAll(l => wanted is null || l.Envelope.MessageId == wanted);
            foreach (var letter in chosen) await letters.RedriveAsync(Queue(http), letter, clock.GetUtcNow(), CancellationToken.None);
            if (chosen.Count > 0) await arrivals.AnnounceAsync(Queue(http), []);
            await Results.Json(new { redriven = chosen.Count }, Json).ExecuteAsync(http);
        }));
    }

    private static string Queue(HttpContext http) => (string)http.Request.RouteValues["queue"]!;

    private static object Show(DeadLetter letter) => new
    {
        letter.Envelope.MessageId,
        letter.Envelope.Subject,
        letter.Reason,
        letter.Description,
        letter.DeliveryCount,
        Body = BinaryData.FromBytes(letter.Envelope.Body).ToString(),
    };

    private static async Task<string?> ReadMessageIdAsync(HttpContext http)
    {
        try
        {
            using var body = await JsonDocument.ParseAsync(http.Request.Body, cancellationToken: http.RequestAborted);
            return body.RootElement.ValueKind == JsonValueKind.Object && body.RootElement.TryGetProperty("message_id", out var id) ? id.ToString() : null;
        }
        catch (JsonException)
        {
            // No body at all means all of them.
            return null;
        }
    }
}
