namespace Harbour.Access;

/// <summary>What a limiter said of one request.</summary>
/// <param name="Limit">The requests that may come at once after a pause: the size of the bucket.</param>
/// <param name="Remaining">The requests that may still come at once, now.</param>
/// <param name="Reset">Until the bucket is full again.</param>
/// <param name="RetryAfter">Until one more request is allowed; zero when it is already.</param>
public readonly record struct Rate(bool Allowed, int Limit, int Remaining, TimeSpan Reset, TimeSpan RetryAfter);

/// <summary>
/// Limits the rate per key by the generic cell rate algorithm (ITU-T I.371): of each key it keeps only the moment at which its
/// bucket would be full again, and moves it by compare-and-swap. The limits of System.Threading.RateLimiting read a clock of their
/// own, which cannot be injected. It counts on this worker alone; with many workers the sum may be larger than the limit.
/// </summary>
public sealed class RateLimiter(TimeProvider time)
{
    private sealed class Bucket
    {
        public long FullAt;
    }

    private readonly Recent<Bucket> buckets = new(50_000);

    /// <summary>Takes one request from the bucket of this key, if one is left.</summary>
    /// <param name="perSecond">The steady rate, 1 to 1,000,000.</param>
    /// <param name="burst">The size of the bucket, at least 1.</param>
    public Rate Take(string key, int perSecond, int burst) => Try(key, perSecond, burst, take: true);

    /// <summary>How things stand, without taking anything.</summary>
    public Rate Look(string key, int perSecond, int burst) => Try(key, perSecond, burst, take: false);

    private Rate Try(string key, int perSecond, int burst, bool take)
    {
        var interval = Math.Max(1, time.TimestampFrequency / perSecond);
        var size = interval * burst;
        if (!buckets.TryGet(key, out var bucket)) bucket = buckets.GetOrAdd(key, new Bucket { FullAt = long.MinValue });

        while (true)
        {
            var now = time.GetTimestamp();
            var was = Volatile.Read(ref bucket.FullAt);
            var fullAt = Math.Max(was, now);
            if (fullAt + interval - now > size) return Say(false, fullAt);
            if (!take) return Say(true, fullAt);
            if (Interlocked.CompareExchange(ref bucket.FullAt, fullAt + interval, was) == was) return Say(true, fullAt + interval);

            Rate Say(bool allowed, long full) => new(
                allowed, burst, (int)Math.Max(0, (size - (full - now)) / interval),
                time.GetElapsedTime(now, full), time.GetElapsedTime(0, Math.Max(0, full + interval - now - size)));
        }
    }
}
