using System.Collections.Concurrent;
using Azure.Data.Tables;

namespace Harbour.Foundation;

/// <summary>
/// Marks in which partitions something happened in a minute, so that sweepers need not look at every partition. The mark is written
/// before the first commit of a partition in a minute, in the request's first round; a worker remembers what it marked.
/// </summary>
public sealed class ActivityMarkers(Storage storage, TimeProvider time)
{
    public const string Table = "activity";
    private const int Shards = 16;

    private readonly ConcurrentDictionary<string, long> marked = new(StringComparer.Ordinal);

    /// <summary>Marks the partition as active now, unless this worker did so already in this minute.</summary>
    public Task MarkAsync(Book book) => MarkAsync(book, time.GetUtcNow());

    /// <summary>Marks the partition for a minute that may lie ahead: something falls due then.</summary>
    public async Task MarkAsync(Book book, DateTimeOffset at)
    {
        var minute = at.ToUnixTimeSeconds() / 60;
        if (marked.TryGetValue(book.Partition, out var last) && last == minute) return;
        var table = await storage.TableAsync(Table);
        await table.UpsertEntityAsync(new TableEntity(PartitionKey(minute, Shard(book)), book.Partition), TableUpdateMode.Replace);
        marked[book.Partition] = minute;
    }

    public static string PartitionKey(long minute, int shard) => $"{minute:D10}~{shard:D2}";

    private static int Shard(Book book)
    {
        var hash = 17u;
        foreach (var c in book.Partition) hash = unchecked(hash * 31 + c);
        return (int)(hash % Shards);
    }
}
