using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Harbour.Access;

/// <summary>
/// A map of bounded size that keeps what was used most recently. It holds two generations: when the young one is full it becomes
/// the old one, and the old one is dropped; what is found in the old one moves over. So at most twice the capacity is held, no
/// entry needs a timer, and an entry that is in use is never lost.
/// </summary>
internal sealed class Recent<T>(int capacity) where T : class
{
    private readonly Lock turning = new();
    private volatile ConcurrentDictionary<string, T> young = new(StringComparer.Ordinal);
    private volatile ConcurrentDictionary<string, T> old = new(StringComparer.Ordinal);
    private int added;

    public bool TryGet(string key, [NotNullWhen(true)] out T? value)
    {
        if (young.TryGetValue(key, out value)) return true;
        if (!old.TryGetValue(key, out value)) return false;
        value = Add(key, value);
        return true;
    }

    /// <summary>The value that is there, or this one.</summary>
    public T GetOrAdd(string key, T value) => TryGet(key, out var there) ? there : Add(key, value);

    public void Set(string key, T value)
    {
        if (ReferenceEquals(Add(key, value), value)) return;
        young[key] = value;
    }

    public void Remove(string key)
    {
        young.TryRemove(key, out _);
        old.TryRemove(key, out _);
    }

    private T Add(string key, T value)
    {
        var kept = young.GetOrAdd(key, value);
        if (!ReferenceEquals(kept, value) || Interlocked.Increment(ref added) <= capacity) return kept;
        lock (turning)
        {
            if (added <= capacity) return kept;
            old = young;
            young = new(StringComparer.Ordinal);
            added = 0;
        }

        return kept;
    }
}
