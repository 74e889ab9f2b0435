using System.Collections.Concurrent;

namespace Harbour.Foundation;

/// <summary>One call to a payment provider, as the log of a request shows it: how it went, and nothing of what was said.</summary>
/// <param name="Operation">create, capture, cancel, refund, find or find_refund.</param>
/// <param name="Endpoint">Which of the provider's endpoints: <c>primary</c>.</param>
/// <param name="Outcome">known, refused, not_attempted, unknown or absent.</param>
/// <param name="DurationMs">Milliseconds, retries included.</param>
/// <param name="At">When it began.</param>
public sealed record ProviderCall(string Provider, string Operation, string Endpoint, string Outcome, double DurationMs, DateTimeOffset At);

/// <summary>
/// Collects what happens on the way of one request, wherever in its flow it happens. Where no request is under way (a timer, a
/// queue) there is nothing to add to, and what is added is not kept.
/// </summary>
public sealed class RequestTrace
{
    private static readonly AsyncLocal<RequestTrace?> Current = new();

    private readonly ConcurrentQueue<ProviderCall> calls = new();

    private RequestTrace() { }

    /// <summary>In the order in which they ended.</summary>
    public IReadOnlyList<ProviderCall> ProviderCalls => [.. calls];

    /// <summary>Begins the trace of a request: all that the caller awaits from here on adds to it.</summary>
    public static RequestTrace Begin() => Current.Value = new RequestTrace();

    public static void Add(ProviderCall call) => Current.Value?.calls.Enqueue(call);
}
