using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>A stored value with the tag that a conditional write names.</summary>
public sealed record Row<T>(string Key, T Value, ETag ETag);

/// <summary>
/// The table <c>books</c>: one partition for each merchant and mode. Everybody reads here; only <see cref="Commit"/> writes.
/// A value is JSON in the columns d0, d1…, since a column holds at most 64 KiB.
/// </summary>
public sealed class Books(Storage storage, Ids ids, TimeProvider time, ILogger<Books> log, OutboxPump? pump = null)
{
    public const string Table = "books";

    /// <summary>Sorts behind every character that a row key uses.</summary>
    public const string Last = "~";

    private const int ColumnLength = 30_000;

    private long tries;

    /// <summary>
    /// How often this process has tried to write to the books: as long as it is the same, the process has changed nothing. Counted when
    /// a try has ended, whatever came of it.
    /// </summary>
    public long Tries => Volatile.Read(ref tries);

    /// <summary>Begins a commit: all that is added to it is written together or not at all.</summary>
    /// <param name="operation">What is being done, for the log of the request: <c>charge.create</c>.</param>
    public Commit Begin(Book book, string requestId, string operation) => new(this, storage, ids, time, log, pump, book, requestId, operation);

    internal void Tried() => Interlocked.Increment(ref tries);

    public async Task<Row<T>?> ReadAsync<T>(Book book, string key, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        var answer = await table.GetEntityIfExistsAsync<TableEntity>(book.Partition, key, cancellationToken: cancellation);
        return answer.HasValue ? Row<T>(answer.Value!) : null;
    }

    /// <summary>Reads rows in the order of their keys.</summary>
    /// <param name="after">Keys must be greater than this.</param>
    /// <param name="upTo">Keys must not be greater than this.</param>
    /// <param name="pageSize">How many rows one call to storage brings, at most 1,000.</param>
    public async IAsyncEnumerable<TableEntity> ScanAsync(
        Book book, string after, string upTo, int pageSize = 1000, string[]? columns = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {book.Partition} and RowKey gt {after} and RowKey le {upTo}");
        await foreach (var entity in table.QueryAsync<TableEntity>(filter, Math.Min(pageSize, 1000), columns, cancellation)) yield return entity;
    }

    public static Row<T> Row<T>(TableEntity entity) => new(entity.RowKey, Json.Parse<T>(Text(entity)), entity.ETag);

    internal static string Text(TableEntity entity)
    {
        var text = entity.GetString("d0") ?? throw new InvalidDataException($"The row {entity.RowKey} holds no value.");
        for (var i = 1; entity.GetString("d" + i) is { } more; i++) text += more;
        return text;
    }

    internal static void SetText(TableEntity entity, string text)
    {
        for (var i = 0; i * ColumnLength < text.Length; i++)
            entity["d" + i] = text.Substring(i * ColumnLength, Math.Min(ColumnLength, text.Length - i * ColumnLength));
    }
}
