using System.Text.Json.Serialization;
using Harbour.Foundation;

namespace Harbour.Sandbox.Providers;

/// <summary>How a simulated provider is made slow or failing; what <c>POST /sandbox/faults</c> says.</summary>
/// <param name="LatencyMs">Milliseconds that every answer waits. A request whose client leaves meanwhile is carried out all the same.</param>
/// <param name="ErrorRate">From 0 to 1: the share of requests that answer 500, half of them after they were carried out.</param>
/// <param name="Down">Connections are refused.</param>
public sealed record Faults(
    [property: JsonPropertyName("latency_ms")] int LatencyMs = 0,
    [property: JsonPropertyName("error_rate")] double ErrorRate = 0,
    [property: JsonPropertyName("down")] bool Down = false);

/// <summary>A payment as a simulated provider believes it to be; a row of <c>GET /sandbox/providers/{name}/payments</c>.</summary>
/// <param name="Reference">The provider's id.</param>
/// <param name="Charge">Our id, as it was sent along; null if none was.</param>
/// <param name="Amount">Minor units as the provider counts them, as are the other amounts.</param>
/// <param name="Currency">In upper case.</param>
/// <param name="Status">In the words of our API's charge: <c>succeeded</c>, <c>authorized</c>, <c>requires_action</c>…</param>
public sealed record SimulatedPayment(
    [property: JsonPropertyName("reference")] string Reference,
    [property: JsonPropertyName("charge")] string? Charge,
    [property: JsonPropertyName("amount")] long Amount,
    [property: JsonPropertyName("amount_captured")] long AmountCaptured,
    [property: JsonPropertyName("amount_refunded")] long AmountRefunded,
    [property: JsonPropertyName("currency")] string Currency,
    [property: JsonPropertyName("status")] string Status)
{
    [JsonIgnore]
    public Mode Mode { get; init; }

    /// <summary>Where the payer goes after a challenge, if the merchant said so.</summary>
    [JsonIgnore]
    public string? ReturnUrl { get; init; }
}
