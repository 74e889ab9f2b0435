using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using DurableTask.Core.History;
using Microsoft.DurableTask.Client;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// Orchestrations in one table. All of an instance is one partition, so that a step is one transaction: the instance's row
/// under its ETag, what the step adds to the history, what it consumes of the inbox, what it sends.
/// </summary>
/// <param name="configure">Changes how the table is reached, as it may for the tables of the functions. For tests.</param>
internal sealed class DurableStore(string connectionString, Action<TableClientOptions>? configure = null)
{
    private const int TransactionRows = 100;

    private readonly TableClient _table = Open(connectionString, configure);

    /// <summary>How many characters of history and letters a step may write; a transaction takes 4 MiB.</summary>
    public const int LargestStep = 1_000_000;

    public Task EnsureTableAsync(CancellationToken cancellation) => _table.CreateIfNotExistsAsync(cancellation);

    public async Task<InstanceRow?> ReadAsync(string instanceId, CancellationToken cancellation)
    {
        var row = await _table.GetEntityIfExistsAsync<TableEntity>(Keys.Partition(instanceId), InstanceRow.RowKey, cancellationToken: cancellation);
        return row.HasValue ? InstanceRow.From(row.Value!) : null;
    }

    /// <summary>
    /// Creates an instance, in the place of one of that id that has ended. Where one has not, and where what is there is
    /// the very same call of the same parent, it is left alone; the answer is what is there now.
    /// </summary>
    public async Task<InstanceRow> CreateAsync(InstanceRow row, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                var response = await _table.AddEntityAsync(row.ToEntity(), cancellation);
                return row with { ETag = response.Headers.ETag!.Value };
            }
            catch (RequestFailedException e) when (e.Status == 409)
            {
            }

            if (await ReadAsync(row.InstanceId, cancellation) is not { } there) continue;
            if (!there.IsCompleted || there.Execution == row.Execution || (row.Parent is not null && there.Parent == row.Parent)) return there;
            if (await ReplaceAsync(there, row, cancellation) is { } etag) return row with { ETag = etag };
        }
    }

    public async Task<Kept?> LoadAsync(string instanceId, CancellationToken cancellation)
    {
        var partition = Keys.Partition(instanceId);
        var rows = await _table.QueryAsync<TableEntity>(r => r.PartitionKey == partition, cancellationToken: cancellation).ToListAsync(cancellation);
        if (rows.Find(r => r.RowKey == InstanceRow.RowKey) is not { } entity) return null;

        var row = InstanceRow.From(entity);
        var present = $"{Keys.History}{row.Execution}|";
        var history = rows.Where(r => r.RowKey.StartsWith(present, StringComparison.Ordinal)).ToList();
        return new(
            row,
            [.. Columns.Join(history).SelectMany(h => JsonSerializer.Deserialize<List<HistoryEvent>>(h.Text, HistoryJson.Options)!)],
            [.. history.Select(h => h.RowKey)],
            [.. rows.Where(r => r.RowKey.StartsWith(Keys.Inbox, StringComparison.Ordinal)).Select(ToMessage)],
            [.. rows.Select(r => r.RowKey).Where(k => k.StartsWith(Keys.History, StringComparison.Ordinal) && !k.StartsWith(present, StringComparison.Ordinal))]);
    }

    public async Task<List<Message>> ReadInboxAsync(string instanceId, CancellationToken cancellation)
    {
        var rows = await QueryAsync($"PartitionKey eq {Keys.Partition(instanceId)} and RowKey ge {Keys.Inbox} and RowKey lt {Keys.After(Keys.Inbox)}", cancellation);
        return [.. rows.Select(ToMessage)];
    }

    /// <summary>The ids of all instances that have not ended.</summary>
    public Task<List<string>> FindOpenAsync(CancellationToken cancellation) => FindIdsAsync($"RowKey eq {InstanceRow.RowKey} and Open eq true", cancellation);

    /// <summary>The ids of all instances that have letters which are not struck off, whether they have ended or not.</summary>
    public Task<List<string>> FindSendingAsync(CancellationToken cancellation) =>
        FindIdsAsync($"RowKey ge {Keys.Outbox} and RowKey lt {Keys.After(Keys.Outbox)}", cancellation);

    /// <summary>Writes a step.</summary>
    /// <exception cref="RequestFailedException">It was not written, or it was and the answer is lost: load the instance to know.</exception>
    public async Task<Written> CommitAsync(Step step, CancellationToken cancellation)
    {
        var (row, partition) = (step.Row, Keys.Partition(step.Row.InstanceId));
        var history = Columns.Rows(partition, part => Keys.HistoryRow(row.Execution, row.Steps, part), step.History ?? "").ToList();
        var letters = Columns.Rows(partition, part => $"{step.Outbox}|{part:D2}", step.Letters ?? "");
        List<TableTransactionAction> actions =
        [
            new(TableTransactionActionType.UpdateReplace, row.ToEntity(), row.ETag),
            .. history.Concat(letters).Select(r => new TableTransactionAction(TableTransactionActionType.Add, r)),
            .. step.Consumed.Select(Delete),
        ];
        var garbage = step.Garbage.Take(TransactionRows - actions.Count).Select(Delete).ToList();
        var response = await _table.SubmitTransactionAsync(actions.Concat(garbage), cancellation);
        return new(response.Value[0].Headers.ETag!.Value, [.. history.Select(h => h.RowKey)], garbage.Count);

        TableTransactionAction Delete(string key) => new(TableTransactionActionType.Delete, new TableEntity(partition, key), ETag.All);
    }

    /// <summary>Puts a message into an inbox. One of that key that is there already is this one.</summary>
    public async Task PutAsync(string instanceId, Message message, CancellationToken cancellation)
    {
        var row = new TableEntity(Keys.Partition(instanceId), message.Key) { ["Execution"] = message.Execution };
        Columns.Write(row, "Json", JsonSerializer.Serialize(message.Event, HistoryJson.Options));
        try
        {
            await _table.AddEntityAsync(row, cancellation);
        }
        catch (RequestFailedException e) when (e.Status == 409)
        {
        }
    }

    /// <summary>What an instance has sent and not been told to strike off, the oldest first.</summary>
    public async Task<List<(string Outbox, List<Letter> Letters)>> ReadOutboxAsync(string instanceId, CancellationToken cancellation)
    {
        var rows = await QueryAsync($"PartitionKey eq {Keys.Partition(instanceId)} and RowKey ge {Keys.Outbox} and RowKey lt {Keys.After(Keys.Outbox)}", cancellation);
        return [.. Columns.Join(rows).Select(o => (o.Key, JsonSerializer.Deserialize<List<Letter>>(o.Text, HistoryJson.Options)!)).OrderBy(o => o.Item2[0].Sent)];
    }

    public async Task StrikeOffAsync(string instanceId, string outbox, CancellationToken cancellation)
    {
        var partition = Keys.Partition(instanceId);
        // Nearly always there is but one part, and it is there.
        for (var part = 0; part == 0 || await Exists(part); part++) await _table.DeleteEntityAsync(partition, Key(part), ETag.All, cancellation);

        string Key(int part) => $"{outbox}|{part:D2}";
        async Task<bool> Exists(int part) => (await _table.GetEntityIfExistsAsync<TableEntity>(partition, Key(part), ["RowKey"], cancellation)).HasValue;
    }

    public IAsyncEnumerable<Azure.Page<TableEntity>> FindAsync(OrchestrationQuery query, string? continuation, int pageSize, CancellationToken cancellation)
    {
        List<string> terms = [TableClient.CreateQueryFilter($"RowKey eq {InstanceRow.RowKey}")];
        if (query.InstanceIdPrefix is { Length: > 0 } prefix)
            terms.Add(TableClient.CreateQueryFilter($"PartitionKey ge {Keys.Partition(prefix)} and PartitionKey lt {Keys.After(Keys.Partition(prefix))}"));
        if (query.CreatedFrom is { } from) terms.Add(TableClient.CreateQueryFilter($"CreatedAt ge {from}"));
        if (query.CreatedTo is { } to) terms.Add(TableClient.CreateQueryFilter($"CreatedAt le {to}"));
        if (query.Statuses?.ToList() is { Count: > 0 } statuses)
            terms.Add($"({string.Join(" or ", statuses.Select(s => TableClient.CreateQueryFilter($"Status eq {s.ToString()}")))})");
        return _table.QueryAsync<TableEntity>(string.Join(" and ", terms), pageSize, cancellationToken: cancellation).AsPages(continuation, pageSize);
    }

    /// <summary>Deletes all of an instance, if it has ended and all that it sent has arrived.</summary>
    public async Task<bool> PurgeAsync(string instanceId, CancellationToken cancellation)
    {
        if (await ReadAsync(instanceId, cancellation) is not { IsCompleted: true } row) return false;
        if ((await ReadOutboxAsync(instanceId, cancellation)).Count > 0) return false;
        return await ReplaceAsync(row, null, cancellation) is not null;
    }

    /// <summary>
    /// Puts another row, or none, in the place of one that has ended, and deletes what goes with it: all under its ETag, since
    /// somebody else may do the same. What the ended one still has to send is kept. Null where somebody else was first.
    /// </summary>
    private async Task<ETag?> ReplaceAsync(InstanceRow there, InstanceRow? by, CancellationToken cancellation)
    {
        var (partition, etag) = (Keys.Partition(there.InstanceId), there.ETag);
        var rows = await _table.QueryAsync<TableEntity>(r => r.PartitionKey == partition, select: ["RowKey"], cancellationToken: cancellation).ToListAsync(cancellation);
        var keys = rows.Select(r => r.RowKey).Where(k => k != InstanceRow.RowKey && !k.StartsWith(Keys.Outbox, StringComparison.Ordinal)).ToList();
        try
        {
            while (true)
            {
                var some = keys.Take(TransactionRows - 1).ToList();
                keys.RemoveRange(0, some.Count);
                List<TableTransactionAction> actions = [keys.Count > 0 ? Touch() : by is null ? Delete(InstanceRow.RowKey, etag) : Replace(by), .. some.Select(k => Delete(k, ETag.All))];
                var response = await _table.SubmitTransactionAsync(actions, cancellation);
                etag = response.Value[0].Headers.ETag ?? ETag.All;
                if (keys.Count == 0) return etag;
            }
        }
        catch (RequestFailedException e) when (e.Status is 404 or 412)
        {
            return null;
        }

        TableTransactionAction Touch() => new(TableTransactionActionType.UpdateMerge, new TableEntity(partition, InstanceRow.RowKey), etag);
        TableTransactionAction Replace(InstanceRow row) => new(TableTransactionActionType.UpdateReplace, row.ToEntity(), etag);
        TableTransactionAction Delete(string key, ETag only) => new(TableTransactionActionType.Delete, new TableEntity(partition, key), only);
    }

    private async Task<List<string>> FindIdsAsync(FormattableString filter, CancellationToken cancellation)
    {
        var rows = await _table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter(filter), select: ["PartitionKey"], cancellationToken: cancellation).ToListAsync(cancellation);
        return [.. rows.Select(r => Uri.UnescapeDataString(r.PartitionKey)).Distinct()];
    }

    private async Task<List<TableEntity>> QueryAsync(FormattableString filter, CancellationToken cancellation) =>
        await _table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter(filter), cancellationToken: cancellation).ToListAsync(cancellation);

    private static TableClient Open(string connectionString, Action<TableClientOptions>? configure)
    {
        var options = new TableClientOptions();
        configure?.Invoke(options);
        return new TableClient(connectionString, "durable", options);
    }

    private static Message ToMessage(TableEntity row) =>
        new(row.RowKey, row.GetString("Execution"), JsonSerializer.Deserialize<HistoryEvent>(Columns.Read(row, "Json")!, HistoryJson.Options)!);
}
