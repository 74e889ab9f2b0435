using System.Collections.Concurrent;
using System.Globalization;
using Azure;
using Azure.Data.Tables;

namespace Harbour.Foundation;

/// <summary>That something happened in a partition in a minute, or falls due in it.</summary>
/// <param name="Minute">The beginning of the minute.</param>
public sealed record ActivityMark(Book Book, DateTimeOffset Minute, string PartitionKey);

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
    public async Task MarkAsync(Book book)
    {
        var minute = MinuteOf(time.GetUtcNow());
        if (marked.TryGetValue(book.Partition, out var last) && last == minute) return;
        await WriteAsync(book, minute);
        marked[book.Partition] = minute;
    }

    /// <summary>Marks the partition for a minute that may lie ahead: something falls due then.</summary>
    public Task MarkAsync(Book book, DateTimeOffset at) => WriteAsync(book, MinuteOf(at));

    /// <summary>The marks up to a moment, oldest first.</summary>
    public async Task<List<ActivityMark>> ReadAsync(DateTimeOffset upTo, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        var last = Key(MinuteOf(upTo) + 1);
        return await table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey lt {last}"), select: ["PartitionKey", "RowKey"], cancellationToken: cancellation)
            .Select(row => new ActivityMark(Book.Parse(row.RowKey), DateTimeOffset.FromUnixTimeSeconds(60 * long.Parse(row.PartitionKey.AsSpan(0, 10), CultureInfo.InvariantCulture)), row.PartitionKey))
            .ToListAsync(cancellation);
    }

    public async Task RetireAsync(ActivityMark mark)
    {
        var table = await storage.TableAsync(Table);
        await table.DeleteEntityAsync(mark.PartitionKey, mark.Book.Partition, ETag.All);
    }

    private async Task WriteAsync(Book book, long minute)
    {
        var table = await storage.TableAsync(Table);
        await table.UpsertEntityAsync(new TableEntity($"{Key(minute)}~{Shard(book):D2}", book.Partition), TableUpdateMode.Replace);
    }

    private static long MinuteOf(DateTimeOffset at) => at.ToUnixTimeSeconds() / 60;

    private static string Key(long minute) => Math.Min(minute, 9_999_999_999).ToString("D10", CultureInfo.InvariantCulture);

    private static int Shard(Book book)
    {
        var hash = 17u;
        foreach (var c in book.Partition) hash = unchecked(hash * 31 + c);
        return (int)(hash % Shards);
    }
}
