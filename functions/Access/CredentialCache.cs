using System.Collections.Concurrent;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.Logging;

namespace Harbour.Access;

/// <summary>A credential and the merchant it acts for, as they were read together.</summary>
public sealed record Caller(Credential Credential, Merchant Merchant);

/// <summary>
/// Credentials in memory, so that a warm request passes the Gate without a read. What was read at most 30 s ago is served; up to
/// 60 s it is still served while one refresh runs; what is older waits for the refresh. So a change, above all a revocation, takes
/// effect on every worker within 60 s. Ages are counted on the monotonic clock from before the read began. There is no timer: a
/// worker may be frozen between requests. When storage cannot be reached, what is older than 60 s is not served.
/// </summary>
public sealed class CredentialCache(CredentialStore credentials, MerchantStore merchants, TimeProvider time, ILogger<CredentialCache> log)
{
    public static readonly TimeSpan Fresh = TimeSpan.FromSeconds(30), Usable = TimeSpan.FromSeconds(60);

    /// <summary>How long a handle that leads nowhere is refused without a read.</summary>
    public static readonly TimeSpan Forgotten = TimeSpan.FromSeconds(10);

    private sealed class Known(Caller? caller, long readAt)
    {
        public readonly Caller? Caller = caller;
        public readonly long ReadAt = readAt;
        public int Refreshing;
    }

    // Strangers have a map of their own, so that junk cannot push out those who are known.
    private readonly Recent<Known> known = new(20_000);
    private readonly Recent<Known> strangers = new(20_000);
    private readonly ConcurrentDictionary<string, Lazy<Task<Caller?>>> reading = new(StringComparer.Ordinal);

    /// <summary>True when <see cref="FindAsync"/> would answer without waiting for storage.</summary>
    public bool Remembers(string handle) =>
        (known.TryGet(handle, out var one) && Age(one) < Usable) || (strangers.TryGet(handle, out var none) && Age(none) < Forgotten);

    /// <summary>The caller behind a handle; null when there is none. Whether it is revoked or expired is for the Gate to judge.</summary>
    public ValueTask<Caller?> FindAsync(string handle, CancellationToken cancellation = default)
    {
        if (known.TryGet(handle, out var one) && Age(one) is var age && age < Usable)
        {
            if (age >= Fresh && Interlocked.Exchange(ref one.Refreshing, 1) == 0) _ = RefreshAsync(handle, one);
            return new(one.Caller);
        }

        if (strangers.TryGet(handle, out var none) && Age(none) < Forgotten) return new((Caller?)null);
        return new(ReadOnceAsync(handle).WaitAsync(cancellation));
    }

    private TimeSpan Age(Known entry) => time.GetElapsedTime(entry.ReadAt);

    private async Task RefreshAsync(string handle, Known old)
    {
        try
        {
            await ReadOnceAsync(handle);
        }
        catch (Exception e)
        {
            // The old entry serves until it is too old; the next request tries again.
            log.LogWarning(e, "A credential could not be refreshed");
            Volatile.Write(ref old.Refreshing, 0);
        }
    }

    /// <summary>Many requests may wait for one credential; it is read once, and no one's going away cancels it for the others.</summary>
    private Task<Caller?> ReadOnceAsync(string handle) =>
        reading.GetOrAdd(handle, static (handle, cache) => new Lazy<Task<Caller?>>(() => cache.ReadAsync(handle)), this).Value;

    private async Task<Caller?> ReadAsync(string handle)
    {
        try
        {
            var readAt = time.GetTimestamp();
            var credential = await credentials.FindAsync(handle);
            var merchant = credential is null ? null : await merchants.FindAsync(credential.Merchant);
            var caller = credential is null || merchant is null ? null : new Caller(credential, merchant);
            if (caller is null) known.Remove(handle);
            (caller is null ? strangers : known).Set(handle, new Known(caller, readAt));
            return caller;
        }
        finally
        {
            reading.TryRemove(handle, out _);
        }
    }
}
