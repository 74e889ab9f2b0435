using System.Diagnostics.Metrics;
using Azure;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>
/// The only door for writes to the books. It gathers state rows, ledger postings, events with their outbox pointers and the answer
/// kept for an idempotency key, and submits them as ONE transaction of one partition.
/// </summary>
/// <remarks>
/// A lost answer to a transaction looks like a conflict: the second try meets the rows of the first. So every commit inserts a row
/// of its own, <c>req|{request}|{commit}</c>, that nothing ever changes: when it is there, the commit succeeded, whatever was heard.
/// The same row is the log of what the request changed.
/// </remarks>
public sealed class Commit
{
    /// <summary>One try of a transaction takes at most this long.</summary>
    public static readonly TimeSpan TryTimeout = TimeSpan.FromSeconds(10);

    private const int MaxTries = 4;
    private const int MaxRows = 100;
    private const int MaxBytes = 4 * 1024 * 1024 - 64 * 1024;

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("harbour.commits", description: "Commits to the books by how they ended");

    private readonly Books books;
    private readonly Storage storage;
    private readonly Ids ids;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly OutboxPump? pump;
    private readonly Book book;
    private readonly string requestId;
    private readonly string operation;
    private readonly string id;
    private readonly List<TableTransactionAction> rows = [];
    private readonly List<(string Id, string Entry, string Type, string Source, Account Account, Money Amount)> postings = [];
    private readonly HashSet<(Account, Currency)> heads = [];
    private readonly List<OutboxPointer> events = [];

    internal Commit(Books books, Storage storage, Ids ids, TimeProvider time, ILogger log, OutboxPump? pump, Book book, string requestId, string operation)
    {
        (this.books, this.storage, this.ids, this.time, this.log, this.pump) = (books, storage, ids, time, log, pump);
        (this.book, this.requestId, this.operation) = (book, requestId, operation);
        id = ids.NewKey();
    }

    private string Guard => GuardsOf(requestId) + id;

    /// <summary>The beginning of the keys of what a request changed; behind it they are in the order of time.</summary>
    public static string GuardsOf(string requestId) => $"req|{requestId}|";

    /// <summary>Adds a row that must not exist yet.</summary>
    public void Insert<T>(string key, T value) => rows.Add(new(TableTransactionActionType.Add, Entity(key, value)));

    /// <summary>Changes a row that nobody may have changed since it was read.</summary>
    public void Replace<T>(string key, ETag etag, T value) => rows.Add(new(TableTransactionActionType.UpdateReplace, Entity(key, value), etag));

    public void Delete(string key, ETag etag) => rows.Add(new(TableTransactionActionType.Delete, new TableEntity(book.Partition, key), etag));

    /// <summary>Adds a row that is nothing but its key: an entry of an index.</summary>
    public void Mark(string key) => rows.Add(new(TableTransactionActionType.Add, new TableEntity(book.Partition, key)));

    /// <summary>Takes an entry out of an index.</summary>
    public void Unmark(string key) => Delete(key, ETag.All);

    /// <summary>Posts an entry. Its lines must sum to zero in each currency.</summary>
    public void Post(string type, string source, params ReadOnlySpan<(Account Account, Money Amount)> lines)
    {
        var entry = "ent_" + ids.NewKey();
        foreach (var (account, amount) in lines)
            if (!amount.IsZero) postings.Add(("pst_" + ids.NewKey(), entry, type, source, account, amount));
    }

    /// <summary>Writes an account's head: the lock that a debit takes.</summary>
    /// <param name="etag">The tag of the head that was read; null when the account had none.</param>
    public void ReplaceHead<T>(Account account, Currency currency, ETag? etag, T head)
    {
        heads.Add((account, currency));
        var key = LedgerKeys.Head(account, currency);
        if (etag is { } tag) Replace(key, tag, head);
        else Insert(key, head);
    }

    /// <summary>Records an event and points the outbox at it. The object is written as it is after this commit.</summary>
    public void Emit<T>(string type, T @object)
    {
        var key = ids.NewKey();
        var body = new
        {
            Id = "evt_" + key,
            Object = "event",
            Type = type,
            CreatedAt = time.GetUtcNow(),
            book.Mode,
            Data = new { Object = @object },
            RequestId = requestId,
        };
        Insert("event|" + Sortable.Invert(key), body);
        var pointer = new OutboxPointer(book, key, type, requestId);
        rows.Add(new(TableTransactionActionType.Add, pointer.Row()));
        events.Add(pointer);
    }

    /// <summary>
    /// Submits the transaction. Null means that another writer was first: nothing was written, and the caller reads again and
    /// decides anew. It is never null because of our own earlier try.
    /// </summary>
    /// <exception cref="StorageException">Storage did not answer; whether the commit was written is not known.</exception>
    /// <exception cref="InvalidOperationException">The commit breaks a rule of the books: a bug, and nothing was written.</exception>
    public async Task<Committed?> SubmitAsync()
    {
        Check();
        var table = await Guarded(() => storage.ForCommitsAsync(Books.Table));
        for (var tried = 1; ; tried++)
        {
            try
            {
                using var deadline = new CancellationTokenSource(TryTimeout);
                var actions = Build(time.GetUtcNow());
                var answer = await table.SubmitTransactionAsync(actions, deadline.Token);
                return Done("applied", new Committed(actions.Zip(answer.Value).ToDictionary(
                    pair => pair.First.Entity.RowKey, pair => pair.Second.Headers.ETag ?? default, StringComparer.Ordinal)));
            }
            catch (RequestFailedException e) when (e.Status is 409 or 412 or 404)
            {
                if (await ReadBackAsync() is { } ours) return Done("applied_unheard", ours);
                log.LogDebug("Commit {Operation} met another writer: {Code}", operation, e.ErrorCode);
                return Done("conflict", null);
            }
            catch (Exception e) when (e is RequestFailedException { Status: 0 or 408 or 429 or >= 500 } or OperationCanceledException or IOException or HttpRequestException)
            {
                log.LogWarning("Commit {Operation} got no answer at try {Try}: {Reason}", operation, tried, e.GetType().Name);
                if (await ReadBackAsync() is { } ours) return Done("applied_unheard", ours);
                if (tried == MaxTries)
                {
                    Done("unknown", null);
                    throw new StorageException("The commit got no answer from storage.", e);
                }
            }
            finally
            {
                books.Tried();
            }
        }
    }

    private Committed? Done(string outcome, Committed? committed)
    {
        Outcomes.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        if (committed is not null && events.Count > 0) pump?.Offer(events);
        return committed;
    }

    /// <summary>The rules of the books, checked before anything is sent.</summary>
    private void Check()
    {
        foreach (var entry in postings.GroupBy(p => (p.Entry, p.Amount.Currency)))
            if (entry.Sum(p => p.Amount.Minor) != 0) throw new InvalidOperationException($"The entry of {operation} does not balance in {entry.Key.Currency}.");
        foreach (var account in postings.Where(p => p.Account.Guarded).GroupBy(p => (p.Account, p.Amount.Currency)))
            if (account.Sum(p => p.Amount.Minor) < 0 && !heads.Contains(account.Key))
                throw new InvalidOperationException($"{operation} debits {account.Key.Account} without its head.");
        if (rows.Count + postings.Count + 1 > MaxRows) throw new InvalidOperationException($"{operation} writes more than {MaxRows} rows.");
        if (rows.DistinctBy(r => r.Entity.RowKey).Count() != rows.Count) throw new InvalidOperationException($"{operation} writes a row twice.");
        var size = rows.Sum(r => ((IDictionary<string, object>)r.Entity).Values.Sum(v => v is string text ? text.Length * 2 : 32) + 512);
        if (size > MaxBytes) throw new InvalidOperationException($"{operation} writes more than {MaxBytes} bytes.");
    }

    /// <summary>The rows as they are sent. Times are stamped anew at every try, so that none is older than one try.</summary>
    private List<TableTransactionAction> Build(DateTimeOffset at)
    {
        var actions = new List<TableTransactionAction>(rows.Count + postings.Count + 1) { new(TableTransactionActionType.Add, Entity(Guard, Log(at))) };
        actions.AddRange(rows);
        actions.AddRange(postings.Select(p => new TableTransactionAction(TableTransactionActionType.Add,
            new TableEntity(book.Partition, LedgerKeys.Posting(p.Account, p.Amount.Currency, at, p.Id))
            {
                ["Amount"] = p.Amount.Minor,
                ["Entry"] = p.Entry,
                ["Type"] = p.Type,
                ["Source"] = p.Source,
            })));
        return actions;
    }

    private object Log(DateTimeOffset at) => new
    {
        RequestId = requestId,
        Operation = operation,
        At = at,
        Rows = rows.Where(r => !r.Entity.RowKey.StartsWith("idem|", StringComparison.Ordinal)).Select(r => $"{r.ActionType}:{r.Entity.RowKey}"),
        Postings = postings.Select(p => new { p.Id, p.Type, p.Source, Account = p.Account.Name, Amount = p.Amount.Minor, Currency = p.Amount.Currency.Code }),
    };

    /// <summary>
    /// Looks whether this commit was written. If so, the tags of its rows are read; a row that somebody changed since keeps no tag
    /// that could match, so that a later write of ours meets the conflict that it is.
    /// </summary>
    private async Task<Committed?> ReadBackAsync()
    {
        var table = await Guarded(() => storage.TableAsync(Books.Table));
        if (!(await Guarded(() => table.GetEntityIfExistsAsync<TableEntity>(book.Partition, Guard, ["RowKey"]))).HasValue) return null;

        var written = rows.Where(r => r.ActionType is not TableTransactionActionType.Delete).Select(r => r.Entity.RowKey).ToList();
        var read = await Guarded(() => Task.WhenAll(written.Select(key => table.GetEntityIfExistsAsync<TableEntity>(book.Partition, key, ["Commit"]))));
        return new Committed(written.Zip(read).ToDictionary(
            pair => pair.First, pair => pair.Second is { HasValue: true, Value: { } row } && row.GetString("Commit") == id ? row.ETag : Committed.Changed, StringComparer.Ordinal));
    }

    private static async Task<T> Guarded<T>(Func<Task<T>> read)
    {
        try
        {
            return await read();
        }
        catch (Exception e) when (e is RequestFailedException or OperationCanceledException or IOException or HttpRequestException or AggregateException)
        {
            throw new StorageException("Storage did not answer.", e);
        }
    }

    private TableEntity Entity<T>(string key, T value)
    {
        var entity = new TableEntity(book.Partition, key) { ["Commit"] = id };
        Books.SetText(entity, Json.Text(value));
        return entity;
    }
}

/// <summary>A commit that was written, with the tags of its rows for the next one.</summary>
public sealed class Committed(Dictionary<string, ETag> tags)
{
    internal static readonly ETag Changed = new("W/\"datetime'2000-01-01T00%3A00%3A00.0000000Z'\"");

    public ETag Tag(string key) => tags[key];
}

/// <summary>Storage did not answer, so it is not known whether something was written.</summary>
public sealed class StorageException(string message, Exception inner) : Exception(message, inner);
