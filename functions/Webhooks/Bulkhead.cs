using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>Whether there was a place for an attempt.</summary>
public enum Entry { Entered, Busy, Suspect }

/// <summary>
/// Keeps endpoints that hang from taking the worker away from the others. One endpoint has a few places; after an attempt that timed out
/// it has one, and all such endpoints together have only so many, until an attempt ends in time. Who finds no place is put off on the
/// bus, and costs nothing meanwhile.
/// </summary>
public sealed class Bulkhead
{
    /// <summary>Attempts to one endpoint at once on this worker.</summary>
    public const int Places = 4;

    /// <summary>Attempts at once, on this worker, to endpoints whose last attempt timed out.</summary>
    public const int SuspectPlaces = 8;

    private sealed class Use
    {
        public int Inside { get; set; }
        public bool Suspect { get; set; }
    }

    private static readonly TimeSpan LongestBusy = TimeSpan.FromSeconds(8), LongestSuspect = TimeSpan.FromMinutes(5);

    private readonly Lock gate = new();
    private readonly Dictionary<Id<WebhookEndpoint>, Use> uses = [];

    /// <summary>Takes a place if there is one. A place is given back by <see cref="Leave"/>, once.</summary>
    public Entry Enter(Id<WebhookEndpoint> endpoint)
    {
        lock (gate)
        {
            var use = uses.GetValueOrDefault(endpoint);
            if (use is { Suspect: true } && (use.Inside > 0 || InsideSuspects() >= SuspectPlaces)) return Entry.Suspect;
            if (use?.Inside >= Places) return Entry.Busy;
            uses[endpoint] = use ??= new Use();
            use.Inside++;
            return Entry.Entered;
        }
    }

    /// <param name="timedOut">Null when no attempt was made, so that nothing is known.</param>
    public void Leave(Id<WebhookEndpoint> endpoint, bool? timedOut)
    {
        lock (gate)
        {
            var use = uses[endpoint];
            use.Inside--;
            use.Suspect = timedOut ?? use.Suspect;
            if (use is { Inside: 0, Suspect: false }) uses.Remove(endpoint);
        }
    }

    /// <summary>How long a message waits that found no place: twice as long each time, and longer where the endpoint hangs.</summary>
    public static TimeSpan PutOffBy(Entry entry, int before)
    {
        var (first, longest) = entry is Entry.Suspect ? (TimeSpan.FromSeconds(5), LongestSuspect) : (TimeSpan.FromSeconds(1), LongestBusy);
        return before >= 16 || first * (1 << before) > longest ? longest : first * (1 << before);
    }

    private int InsideSuspects() => uses.Values.Where(use => use.Suspect).Sum(use => use.Inside);
}
