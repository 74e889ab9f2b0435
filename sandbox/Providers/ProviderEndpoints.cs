using System.Text.Json;
using Harbour.Foundation;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Harbour.Sandbox.Providers;

/// <summary>
/// What the sandbox shows and does for its simulated providers: what they believe they have taken, the payer's side of a challenge,
/// and faults. Only the sandbox has these, so they are no functions.
/// </summary>
internal static class ProviderEndpoints
{
    public static void MapProviders(this WebApplication app, StripeSimulator stripe)
    {
        app.MapGet("/sandbox/providers/{name}/payments", (string name) => name == "stripe"
            ? Results.Json(new { data = stripe.Payments() })
            : Missing($"There is no simulated provider called {name}."));

        app.MapGet("/sandbox/providers/{name}/payments/{reference}/authenticate", (string name, string reference, string? outcome) =>
        {
            if (name != "stripe") return Missing($"There is no simulated provider called {name}.");
            if (outcome is not ("success" or "failure")) return Results.Problem("Say ?outcome=success or ?outcome=failure.", statusCode: 400);
            if (stripe.AuthenticateSetup(reference, outcome == "success", out var returnUrl))
                return returnUrl is null ? Results.Json(new { reference, outcome }) : Results.Redirect(returnUrl);
            if (stripe.Authenticate(reference, outcome == "success") is not { } payment) return Missing("No payment with this reference waits for a challenge.");
            return payment.ReturnUrl is { } back ? Results.Redirect(back) : Results.Json(payment);
        });

        app.MapPost("/sandbox/faults", async (HttpRequest request) =>
        {
            if (await ReadAsync(request) is not { } faults)
                return Results.Problem("Send {\"provider\":\"stripe\",\"latency_ms\":250,\"error_rate\":0.1,\"down\":false}; what is left out is well.", statusCode: 400);
            await stripe.SetFaultsAsync(faults);
            return Results.Json(faults);
        });
    }

    private static async Task<Faults?> ReadAsync(HttpRequest request)
    {
        try
        {
            using var body = await JsonDocument.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted);
            if (body.RootElement.ValueKind is not JsonValueKind.Object || !body.RootElement.TryGetProperty("provider", out var provider) || !provider.ValueEquals("stripe")) return null;
            var faults = body.RootElement.Deserialize<Faults>();
            return faults is { LatencyMs: >= 0 and <= 60_000, ErrorRate: >= 0 and <= 1 } ? faults : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static IResult Missing(string detail) => Results.Problem(detail, statusCode: StatusCodes.Status404NotFound);
}
