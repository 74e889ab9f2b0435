using System.Text;
using Azure;
using Azure.Data.Tables;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;

namespace Harbour.Sandbox.Bus;

/// <summary>A message that was received, and what is needed to settle it.</summary>
/// <param name="Row">The key of the row that holds it, where it was too large for the queue.</param>
internal sealed record Received(string Id, string Receipt, int DeliveryCount, Envelope Envelope, string? Row);

/// <summary>
/// The messages of one queue that are ready or locked. A storage queue's message holds 64 KiB; a larger one is kept in a row, written
/// before the queue's message and removed after it.
/// </summary>
internal sealed class BusQueue(string name, QueueClient queue, TableClient table)
{
    /// <summary>How long a message stays locked by a host that died. A living one renews long before.</summary>
    public static readonly TimeSpan Lock = TimeSpan.FromSeconds(5);

    private const int LargestInQueue = 60_000;
    private const char Reference = '@';

    private static readonly TimeSpan Never = TimeSpan.FromSeconds(-1);

    public string Name { get; } = name;

    private string RowPartition => "large~" + Name;

    public async Task PutAsync(Envelope envelope, CancellationToken cancellation) =>
        await queue.SendMessageAsync(await TextOfAsync(envelope, envelope.Key, cancellation), timeToLive: Never, cancellationToken: cancellation);

    /// <summary>Locks and returns up to that many messages, the oldest first.</summary>
    public async Task<List<Received>> ReceiveAsync(int most, CancellationToken cancellation)
    {
        var messages = await queue.ReceiveMessagesAsync(Math.Min(most, 32), Lock, cancellation);
        var received = new List<Received>(messages.Value.Length);
        foreach (var message in messages.Value)
        {
            if (await ReadAsync(message, cancellation) is { } read) received.Add(read);
        }

        return received;
    }

    /// <summary>Keeps the message locked; answers the receipt that is good from now on.</summary>
    public async Task<string> RenewAsync(Received message, string receipt, CancellationToken cancellation) =>
        (await queue.UpdateMessageAsync(message.Id, receipt, visibilityTimeout: Lock, cancellationToken: cancellation)).Value.PopReceipt;

    public async Task CompleteAsync(Received message, string receipt)
    {
        await queue.DeleteMessageAsync(message.Id, receipt);
        if (message.Row is { } row) await table.DeleteEntityAsync(RowPartition, row, ETag.All);
    }

    /// <summary>Makes the message ready again at once, changed where <paramref name="changed"/> says so.</summary>
    public async Task AbandonAsync(Received message, string receipt, Envelope? changed)
    {
        var text = changed is null ? null : await TextOfAsync(changed, message.Row ?? changed.Key, CancellationToken.None);
        await queue.UpdateMessageAsync(message.Id, receipt, text, TimeSpan.Zero);
    }

    /// <summary>False while there is a message, ready or locked.</summary>
    public async Task<bool> IsEmptyAsync(CancellationToken cancellation) =>
        (await queue.GetPropertiesAsync(cancellation)).Value.ApproximateMessagesCount == 0;

    private async Task<string> TextOfAsync(Envelope envelope, string row, CancellationToken cancellation)
    {
        var bytes = envelope.ToBytes();
        if (bytes.Length <= LargestInQueue) return Encoding.UTF8.GetString(bytes);
        await table.UpsertEntityAsync(Columns.Set(new TableEntity(RowPartition, row), bytes), TableUpdateMode.Replace, cancellation);
        return Reference + row;
    }

    private async Task<Received?> ReadAsync(QueueMessage message, CancellationToken cancellation)
    {
        var text = message.MessageText;
        var (id, receipt, count) = (message.MessageId, message.PopReceipt, (int)message.DequeueCount);
        if (text[0] != Reference) return new(id, receipt, count, Envelope.Parse(Encoding.UTF8.GetBytes(text)), null);

        var row = await table.GetEntityIfExistsAsync<TableEntity>(RowPartition, text[1..], cancellationToken: cancellation);
        if (row.HasValue) return new(id, receipt, count, Envelope.Parse(Columns.Get(row.Value!)), text[1..]);

        // The row goes only after the queue's message: this one was settled by a call whose answer was lost.
        await queue.DeleteMessageAsync(id, receipt, cancellation);
        return null;
    }
}
