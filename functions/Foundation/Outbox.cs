using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using Azure;
using Azure.Data.Tables;
using Azure.Messaging.ServiceBus;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>That an event is not known to be on the bus yet: the row <c>outbox|{key}</c>, written by the commit that records the event.</summary>
/// <param name="Key">The part of the event's id behind its prefix.</param>
/// <param name="RequestId">The request that made the event.</param>
public sealed record OutboxPointer(Book Book, string Key, string Type, string RequestId)
{
    internal const string Prefix = "outbox|";

    private const string TypeColumn = "Type", RequestColumn = "Request";

    public string Event => "evt_" + Key;

    public static string RowOf(string key) => Prefix + key;

    internal TableEntity Row() => new(Book.Partition, RowOf(Key)) { [TypeColumn] = Type, [RequestColumn] = RequestId };

    /// <summary>Null where the row is an old one that is nothing but its key.</summary>
    internal static OutboxPointer? Of(Book book, TableEntity row) =>
        row.GetString(TypeColumn) is { } type && row.GetString(RequestColumn) is { } request ? new(book, KeyOf(row), type, request) : null;

    internal static string KeyOf(TableEntity row) => row.RowKey[Prefix.Length..];
}

/// <summary>
/// Brings events onto the bus: a message for each, then its pointer goes. A crash in between sends the message a second time, so whoever
/// receives must bear that; the queue's duplicate detection spares him most of them. Taking pointers away is the one write to the books
/// that is no <see cref="Commit"/>: they say what has been sent and nothing of money.
/// </summary>
public sealed class Outbox(Storage storage, ServiceBusClient bus, TimeProvider time, ILogger<Outbox> log)
{
    /// <summary>The queue of what has happened, for everybody who tells merchants of it.</summary>
    public const string Queue = "merchant-events";

    /// <summary>Messages are some hundred bytes each, so this many stay far below what one send may hold; it is also a transaction's size.</summary>
    private const int BatchSize = 100;

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Sent = Meter.CreateCounter<long>("harbour.outbox.sent", description: "Events put onto the bus, by the way they took");
    private static readonly Histogram<double> Age = Meter.CreateHistogram<double>("harbour.outbox.age", "s", "From the making of an event to its being on the bus");

    private readonly Lazy<ServiceBusSender> sender = new(() => bus.CreateSender(Queue));

    /// <summary>Sends those events, then takes their pointers away.</summary>
    /// <param name="way">For the metrics: pump or sweep.</param>
    /// <exception cref="ServiceBusException">The bus did not take them; their pointers stay.</exception>
    public async Task SendAsync(IReadOnlyList<OutboxPointer> pointers, string way, CancellationToken cancellation)
    {
        foreach (var batch in pointers.Chunk(BatchSize))
        {
            await sender.Value.SendMessagesAsync(batch.Select(Message), cancellation);
            foreach (var pointer in batch)
            {
                var age = (time.GetUtcNow() - Sortable.TimeOf(pointer.Key)).TotalSeconds;
                Sent.Add(1, new KeyValuePair<string, object?>("way", way));
                Age.Record(Math.Max(0, age), new KeyValuePair<string, object?>("way", way));
                log.LogDebug("The {Way} sent {Event} ({Type}) of request {RequestId} after {Age:0.0} s", way, pointer.Event, pointer.Type, pointer.RequestId, age);
            }

            await Task.WhenAll(batch.GroupBy(pointer => pointer.Book).Select(book => RemoveAsync(book.Key, [.. book], cancellation)));
        }
    }

    /// <summary>The pointers of a partition that were made before a moment, oldest first.</summary>
    public async IAsyncEnumerable<OutboxPointer> ReadAsync(
        Book book, DateTimeOffset before, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        var table = await storage.TableAsync(Books.Table);
        var last = OutboxPointer.RowOf(Sortable.FirstKeyAt(before));
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {book.Partition} and RowKey gt {OutboxPointer.Prefix} and RowKey lt {last}");
        await foreach (var row in table.QueryAsync<TableEntity>(filter, cancellationToken: cancellation))
            if ((OutboxPointer.Of(book, row) ?? await ReadEventAsync(book, OutboxPointer.KeyOf(row), cancellation)) is { } pointer) yield return pointer;
    }

    /// <summary>Whether a partition holds events that are not known to be on the bus.</summary>
    public async Task<bool> HasPointersAsync(Book book, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Books.Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {book.Partition} and RowKey gt {OutboxPointer.Prefix} and RowKey lt {OutboxPointer.Prefix + Books.Last}");
        return await table.QueryAsync<TableEntity>(filter, maxPerPage: 1, select: ["RowKey"], cancellationToken: cancellation).AnyAsync(cancellation);
    }

    /// <summary>All partitions of the books, found by leaping from the beginning of each to the next: one call for each, however much it holds.</summary>
    public async IAsyncEnumerable<Book> AllBooksAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        var table = await storage.TableAsync(Books.Table);
        for (var after = ""; ;)
        {
            var filter = TableClient.CreateQueryFilter($"PartitionKey gt {after}");
            var first = await table.QueryAsync<TableEntity>(filter, maxPerPage: 1, select: ["PartitionKey"], cancellationToken: cancellation).FirstOrDefaultAsync(cancellation);
            if (first is null) yield break;
            yield return Book.Parse(after = first.PartitionKey);
        }
    }

    private static ServiceBusMessage Message(OutboxPointer pointer) => new(BinaryData.FromBytes(Json.Bytes(new { pointer.Book.Merchant, pointer.Book.Mode, pointer.Event })))
    {
        MessageId = pointer.Event,
        Subject = pointer.Type,
        ContentType = "application/json",
        CorrelationId = pointer.RequestId,
    };

    private async Task RemoveAsync(Book book, OutboxPointer[] pointers, CancellationToken cancellation)
    {
        var table = await storage.TableAsync(Books.Table);
        if (pointers.Length > 1)
        {
            try
            {
                var rows = pointers.Select(pointer => new TableEntity(book.Partition, OutboxPointer.RowOf(pointer.Key)));
                await table.SubmitTransactionAsync(rows.Select(row => new TableTransactionAction(TableTransactionActionType.Delete, row, ETag.All)), cancellation);
                return;
            }
            catch (RequestFailedException e) when (e.Status == 404)
            {
                // Somebody else took one of them away, and a transaction is all or nothing: then each by itself.
            }
        }

        foreach (var pointer in pointers) await table.DeleteEntityAsync(book.Partition, OutboxPointer.RowOf(pointer.Key), ETag.All, cancellation);
    }

    /// <summary>Makes the pointer of an old row from the event that it points at.</summary>
    private async Task<OutboxPointer?> ReadEventAsync(Book book, string key, CancellationToken cancellation)
    {
        var table = await storage.TableAsync(Books.Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(book.Partition, "event|" + Sortable.Invert(key), cancellationToken: cancellation);
        if (row.HasValue && JsonNode.Parse(Books.Text(row.Value!)) is { } body)
            return new(book, key, (string)body["type"]!, (string?)body["request_id"] ?? "");
        log.LogError("The outbox of {Book} points at {Event}, which is not there", book.Partition, "evt_" + key);
        return null;
    }
}
