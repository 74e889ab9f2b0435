using System.Globalization;
using Azure;
using Azure.Data.Tables;

namespace Harbour.Sandbox.Bus;

/// <summary>A message that could not be handled.</summary>
internal sealed record DeadLetter(Envelope Envelope, string? Reason, string? Description, int DeliveryCount);

/// <summary>The dead letters of all queues, oldest first in each.</summary>
internal sealed class DeadLetters(BusStorage storage)
{
    /// <summary>Writing the same again changes nothing, so that a host that crashes before it takes the message out of its queue may do it over.</summary>
    public async Task AddAsync(string queue, DeadLetter letter, CancellationToken cancellation)
    {
        var row = new TableEntity(Partition(queue), RowOf(letter.Envelope))
        {
            ["Reason"] = letter.Reason,
            ["Description"] = letter.Description,
            ["DeliveryCount"] = letter.DeliveryCount,
        };
        await (await storage.TableAsync()).UpsertEntityAsync(Columns.Set(row, letter.Envelope.ToBytes()), TableUpdateMode.Replace, cancellation);
    }

    public async Task<List<DeadLetter>> ReadAsync(string queue, CancellationToken cancellation)
    {
        var letters = new List<DeadLetter>();
        var table = await storage.TableAsync();
        await foreach (var row in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey eq {Partition(queue)}"), cancellationToken: cancellation))
            letters.Add(new(Envelope.Parse(Columns.Get(row)), row.GetString("Reason"), row.GetString("Description"), row.GetInt32("DeliveryCount") ?? 0));
        return letters;
    }

    /// <summary>Enqueues the message anew, as if it had never been delivered.</summary>
    public async Task RedriveAsync(string queue, DeadLetter letter, DateTimeOffset now, CancellationToken cancellation)
    {
        await (await storage.QueueAsync(queue)).PutAsync(letter.Envelope with { EnqueuedTime = now }, cancellation);
        await (await storage.TableAsync()).DeleteEntityAsync(Partition(queue), RowOf(letter.Envelope), ETag.All, cancellation);
    }

    private static string Partition(string queue) => "dead~" + queue;

    private static string RowOf(Envelope envelope) => $"{envelope.SequenceNumber.ToString("D19", CultureInfo.InvariantCulture)}|{envelope.Key}";
}
