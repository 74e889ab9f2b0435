using System.Security.Cryptography;
using System.Text;
using Azure;
using Azure.Data.Tables;

namespace Harbour.Sandbox.Bus;

/// <summary>
/// Detects duplicates: of two messages with one id that are sent to a queue within ten minutes of the sandbox's clock, the first
/// counts. An id is noted before its message is enqueued and confirmed afterwards; one that was only noted stands for a send that
/// nobody was told had succeeded, so a repetition goes through. Two sends at the very same moment may both go through.
/// </summary>
internal sealed class KnownMessages(BusStorage storage, TimeProvider clock)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    /// <summary>Notes the ids of those messages, and answers which of them are to be enqueued.</summary>
    public async Task<List<Envelope>> NoteAsync(string queue, List<Envelope> messages, CancellationToken cancellation)
    {
        messages = [.. messages.DistinctBy(m => m.MessageId)];
        if (messages.Count == 0) return messages;
        try
        {
            // Most ids are new: then one call notes them all.
            if (messages.Count == 1) await (await storage.TableAsync()).AddEntityAsync(RowOf(queue, messages[0], sent: false), cancellation);
            else await storage.SubmitAsync(messages.Select(m => new TableTransactionAction(TableTransactionActionType.Add, RowOf(queue, m, sent: false))), cancellation);
            return messages;
        }
        catch (RequestFailedException e) when (e.Status == 409)
        {
        }

        var table = await storage.TableAsync();
        var fresh = new List<Envelope>();
        foreach (var message in messages)
        {
            var row = RowOf(queue, message, sent: false);
            var known = await table.GetEntityIfExistsAsync<TableEntity>(row.PartitionKey, row.RowKey, cancellationToken: cancellation);
            if (known.HasValue && known.Value!.GetBoolean("Sent") == true && known.Value.GetInt64("At") > Cutoff) continue;
            await table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellation);
            fresh.Add(message);
        }

        return fresh;
    }

    /// <summary>Confirms that those messages have been enqueued: from now on another one with their id is dropped.</summary>
    public async Task ConfirmAsync(string queue, IReadOnlyCollection<Envelope> messages, CancellationToken cancellation)
    {
        if (messages.Count == 1) await (await storage.TableAsync()).UpsertEntityAsync(RowOf(queue, messages.Single(), sent: true), TableUpdateMode.Replace, cancellation);
        else await storage.SubmitAsync(messages.Select(m => new TableTransactionAction(TableTransactionActionType.UpsertReplace, RowOf(queue, m, sent: true))), cancellation);
    }

    /// <summary>Removes the ids of that queue that are too old to matter.</summary>
    public async Task ForgetAsync(string queue, CancellationToken cancellation)
    {
        var table = await storage.TableAsync();
        var old = new List<TableEntity>();
        await foreach (var row in table.QueryAsync<TableEntity>(
            TableClient.CreateQueryFilter($"PartitionKey eq {Partition(queue)} and At le {Cutoff}"), select: ["PartitionKey", "RowKey"], cancellationToken: cancellation))
            old.Add(row);
        await storage.SubmitAsync(old.Select(row => new TableTransactionAction(TableTransactionActionType.Delete, row, ETag.All)), cancellation);
    }

    private long Cutoff => (clock.GetUtcNow() - Window).UtcTicks;

    private static string Partition(string queue) => "known~" + queue;

    private TableEntity RowOf(string queue, Envelope message, bool sent) =>
        new(Partition(queue), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(message.MessageId)))) { ["At"] = clock.GetUtcNow().UtcTicks, ["Sent"] = sent };
}
