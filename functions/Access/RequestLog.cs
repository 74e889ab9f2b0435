using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Azure.Data.Tables;
using Harbour.Foundation;
using Microsoft.Extensions.Logging;

namespace Harbour.Access;

/// <summary>
/// Remembers every authenticated call in the table <c>requests</c>: one partition for each book, and the row key
/// <c>{request}|{inverted time}</c>, so that the calls of one request id are read in one go, the newest first. A call waits for none
/// of it: what is to be remembered lies in memory until the writer comes for it, and when too much lies there, it is dropped and
/// counted. That is no loss to the books, because what a request changed is written by its commits.
/// </summary>
public sealed class RequestLog(Storage storage, Ids ids, TimeProvider time, ILogger<RequestLog> log) : IDisposable
{
    public const string Table = "requests";

    /// <summary>What may wait to be written: some seconds of a busy worker, and some megabytes.</summary>
    private const int Capacity = 20_000;

    /// <summary>A transaction holds so many rows at most.</summary>
    private const int MaxBatch = 100;

    /// <summary>A reader does not wait longer than this for what is being written.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan WriteTimeout = TimeSpan.FromSeconds(10);

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Dropped = Meter.CreateCounter<long>("harbour.request_log.dropped", description: "Calls that are missing in the request log, by why");

    private readonly Channel<(Book Book, string Key, LoggedCall Call)> pending =
        Channel.CreateBounded<(Book, string, LoggedCall)>(new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.Wait });
    private readonly SemaphoreSlim writing = new(1);

    /// <summary>Hands a call over to be written. It takes no time and never fails.</summary>
    internal void Add(Call call, LoggedCall logged)
    {
        if (!pending.Writer.TryWrite((call.Book, Key(call.RequestId) + Sortable.Invert(ids.NewKey()), logged))) Dropped.Add(1, new KeyValuePair<string, object?>("reason", "full"));
    }

    /// <summary>The latest calls with this request id, oldest first. What this worker has not written yet is written before.</summary>
    public async Task<IReadOnlyList<LoggedCall>> ReadAsync(Book book, string requestId, int limit, CancellationToken cancellation)
    {
        try
        {
            await WritePendingAsync().WaitAsync(Patience, time, cancellation);
        }
        catch (TimeoutException)
        {
            log.LogWarning("The request log is being written for longer than a reader waits");
        }

        var table = await storage.TableAsync(Table);
        var (after, upTo) = (Key(requestId), Key(requestId) + Books.Last);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {book.Partition} and RowKey gt {after} and RowKey le {upTo}");
        var calls = await table.QueryAsync<TableEntity>(filter, limit, cancellationToken: cancellation)
            .Take(limit).Select(row => Books.Row<LoggedCall>(row).Value).ToListAsync(cancellation);
        calls.Reverse();
        return calls;
    }

    /// <summary>Completes when there is something to write.</summary>
    internal async Task WaitAsync(CancellationToken cancellation) => await pending.Reader.WaitToReadAsync(cancellation);

    /// <summary>Writes what waits now, and what somebody else is just writing is written when this returns. Never fails.</summary>
    public async Task WritePendingAsync()
    {
        await writing.WaitAsync();
        try
        {
            var taken = new List<(Book Book, string Key, LoggedCall Call)>();
            while (taken.Count < Capacity && pending.Reader.TryRead(out var one)) taken.Add(one);
            foreach (var book in taken.GroupBy(one => one.Book))
                foreach (var batch in book.Chunk(MaxBatch)) await WriteAsync(book.Key, batch);
        }
        finally
        {
            writing.Release();
        }
    }

    public void Dispose() => writing.Dispose();

    private async Task WriteAsync(Book book, (Book Book, string Key, LoggedCall Call)[] batch)
    {
        try
        {
            using var deadline = new CancellationTokenSource(WriteTimeout);
            var table = await storage.TableAsync(Table);
            // Nothing else ever has these keys, so the SDK may try again what it got no answer to.
            await table.SubmitTransactionAsync(batch.Select(one => new TableTransactionAction(TableTransactionActionType.UpsertReplace, Row(book, one.Key, one.Call))), deadline.Token);
        }
#pragma warning disable CA1031 // Whatever goes wrong here, no one waits for it and nothing of the books depends on it.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Dropped.Add(batch.Length, new KeyValuePair<string, object?>("reason", "storage"));
            log.LogWarning(e, "{Count} calls could not be written to the request log", batch.Length);
        }
    }

    private static TableEntity Row(Book book, string key, LoggedCall call)
    {
        var row = new TableEntity(book.Partition, key);
        Books.SetText(row, Json.Text(call));
        return row;
    }

    private static string Key(string requestId) => requestId + "|";
}
