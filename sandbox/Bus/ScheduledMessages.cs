using System.Globalization;
using Azure;
using Azure.Data.Tables;

namespace Harbour.Sandbox.Bus;

/// <summary>A message that is held until it is due, by the key of its row.</summary>
internal readonly record struct Scheduled(DateTimeOffset Due, string Queue, string Row) : IComparable<Scheduled>
{
    public int CompareTo(Scheduled other) => (Due, Row).CompareTo((other.Due, other.Row));
}

/// <summary>The messages that are held until a moment of the sandbox's clock. One partition for all queues, so that one call reads what is held.</summary>
internal sealed class ScheduledMessages(BusStorage storage)
{
    private const string Partition = "scheduled";

    public async Task<Scheduled> AddAsync(string queue, Envelope envelope, CancellationToken cancellation)
    {
        var key = new Scheduled(envelope.ScheduledEnqueueTime, queue, $"{queue}|{Number(envelope.SequenceNumber)}|{envelope.Key}");
        var row = new TableEntity(Partition, key.Row) { ["Due"] = key.Due.UtcTicks };
        await (await storage.TableAsync()).AddEntityAsync(Columns.Set(row, envelope.ToBytes()), cancellation);
        return key;
    }

    public async Task<List<Scheduled>> ReadAllAsync(CancellationToken cancellation)
    {
        var all = new List<Scheduled>();
        var table = await storage.TableAsync();
        await foreach (var row in table.QueryAsync<TableEntity>(r => r.PartitionKey == Partition, select: ["RowKey", "Due"], cancellationToken: cancellation))
            all.Add(new(new DateTimeOffset(row.GetInt64("Due")!.Value, TimeSpan.Zero), row.RowKey.Split('|')[0], row.RowKey));
        return all;
    }

    /// <summary>Puts the message into its queue and only then takes it from here; nothing is done where it was cancelled.</summary>
    public async Task ReleaseAsync(Scheduled message, CancellationToken cancellation)
    {
        var table = await storage.TableAsync();
        var row = await table.GetEntityIfExistsAsync<TableEntity>(Partition, message.Row, cancellationToken: cancellation);
        if (!row.HasValue) return;
        var envelope = Envelope.Parse(Columns.Get(row.Value!)) with { EnqueuedTime = message.Due };
        await (await storage.QueueAsync(message.Queue)).PutAsync(envelope, cancellation);
        await table.DeleteEntityAsync(Partition, message.Row, ETag.All, cancellation);
    }

    /// <summary>False where no such message is held.</summary>
    public async Task<bool> CancelAsync(string queue, long sequenceNumber, CancellationToken cancellation)
    {
        var table = await storage.TableAsync();
        var first = $"{queue}|{Number(sequenceNumber)}|";
        var found = false;
        await foreach (var row in table.QueryAsync<TableEntity>(
            TableClient.CreateQueryFilter($"PartitionKey eq {Partition} and RowKey gt {first} and RowKey lt {first + "~"}"), select: ["PartitionKey", "RowKey"], cancellationToken: cancellation))
        {
            using var response = await table.DeleteEntityAsync(row.PartitionKey, row.RowKey, ETag.All, cancellation);
            found |= !response.IsError;
        }

        return found;
    }

    private static string Number(long sequenceNumber) => sequenceNumber.ToString("D19", CultureInfo.InvariantCulture);
}
