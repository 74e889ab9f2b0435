using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Harbour.Sandbox.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox;

/// <summary>GET /sandbox/clock and POST /sandbox/clock/advance: only the sandbox has them, so they are no functions.</summary>
internal static partial class ClockEndpoints
{
    /// <summary>An advance makes a stop at every midnight on the way, so a slip of the keyboard must not ask for a million of them.</summary>
    private static readonly TimeSpan LongestAdvance = TimeSpan.FromDays(36525);

    /// <summary>Cron schedules are worked out up to the year 2499.</summary>
    private static readonly DateTimeOffset LastMoment = new(2400, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly TimeSpan HongKong = TimeSpan.FromHours(8);

    /// <summary>A host without a timeline follows another one's clock and can't move it.</summary>
    public static void MapClock(this WebApplication app, MovableClock clock, Timeline? timeline)
    {
        var follower = app.Services.GetRequiredService<ClockFollower>();
        app.MapGet("/sandbox/clock", (RequestDelegate)(async http =>
        {
            await follower.CatchUpAsync(http.RequestAborted);
            await Results.Json(new { now = Format(clock.GetUtcNow()) }).ExecuteAsync(http);
        }));
        app.MapPost("/sandbox/clock/advance", (RequestDelegate)(async http =>
            await (await AdvanceAsync(http, clock, timeline, app.Lifetime.ApplicationStopping)).ExecuteAsync(http)));
    }

    /// <summary>
    /// Reads hours:minutes:seconds, hours of any number of digits: 72:00:00 is three days. TimeSpan.Parse reads 72 days from
    /// that, and refuses 26:00:00. False for anything else, negative ones included.
    /// </summary>
    internal static bool TryParseDuration(string? text, out TimeSpan duration)
    {
        duration = default;
        if (text is null || Duration().Match(text) is not { Success: true } match) return false;
        if (!long.TryParse(match.Groups["h"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var hours)) return false;
        if (hours > LongestAdvance.TotalHours) return false;
        duration = new TimeSpan((int)hours, int.Parse(match.Groups["m"].ValueSpan, CultureInfo.InvariantCulture), int.Parse(match.Groups["s"].ValueSpan, CultureInfo.InvariantCulture));
        return duration <= LongestAdvance;
    }

    private static async Task<IResult> AdvanceAsync(HttpContext http, MovableClock clock, Timeline? timeline, CancellationToken stopping)
    {
        if (timeline is null)
            return Results.Problem("This host follows the clock of the one that runs the timers: advance it there.", statusCode: StatusCodes.Status409Conflict);
        if (!TryParseDuration(await ReadByAsync(http), out var by))
            return Results.Problem("Send {\"by\":\"72:00:00\"}: hours (any number of digits), minutes and seconds, at most 100 years.", statusCode: StatusCodes.Status400BadRequest);
        if (clock.GetUtcNow() + by > LastMoment)
            return Results.Problem("The clock goes no further than the year 2400.", statusCode: StatusCodes.Status400BadRequest);

        // Not the request's own cancellation: an advance that has begun is finished, whether or not its client waits.
        var (from, now) = await timeline.AdvanceAsync(by, stopping);
        return Results.Json(new { from = Format(from), now = Format(now) });
    }

    private static async Task<string?> ReadByAsync(HttpContext http)
    {
        try
        {
            using var body = await JsonDocument.ParseAsync(http.Request.Body, cancellationToken: http.RequestAborted);
            return body.RootElement.ValueKind == JsonValueKind.Object && body.RootElement.TryGetProperty("by", out var by) && by.ValueKind == JsonValueKind.String
                ? by.GetString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Format(DateTimeOffset moment) => moment.ToOffset(HongKong).ToString("yyyy-MM-dd'T'HH:mm:ss.fffzzz", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\A(?<h>[0-9]+):(?<m>[0-5][0-9]):(?<s>[0-5][0-9])\z")]
    private static partial Regex Duration();
}
