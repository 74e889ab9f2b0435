using System.Collections.Concurrent;
using Azure;
using Azure.Data.Tables;
using Azure.Messaging.ServiceBus;
using Azure.Storage.Queues;

namespace Harbour.Sandbox.Bus;

/// <summary>
/// Where the bus keeps its messages: storage queues for those that are ready, since they know how to lock a message and to count its
/// deliveries, and one table for what they lack. Whatever is written in two places is written in the order in which a crash in
/// between can make a message come twice, and never lose it.
/// </summary>
internal sealed class BusStorage(string connectionString)
{
    private const string BellRow = "bell";

    private readonly TableClient _table = new(connectionString, "bus");
    private readonly QueueServiceClient _service = new(connectionString, new QueueClientOptions { MessageEncoding = QueueMessageEncoding.None });
    private readonly ConcurrentDictionary<string, Lazy<Task<BusQueue>>> _queues = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private Task? _made;

    /// <summary>The table, made when it is first used.</summary>
    public async ValueTask<TableClient> TableAsync()
    {
        Task made;
        lock (_lock)
        {
            if (_made is null || _made.IsFaulted || _made.IsCanceled) _made = _table.CreateIfNotExistsAsync();
            made = _made;
        }

        await made;
        return _table;
    }

    /// <exception cref="ServiceBusException">It is no name for a queue.</exception>
    public async Task<BusQueue> QueueAsync(string name)
    {
        var made = _queues.GetOrAdd(name, n => new Lazy<Task<BusQueue>>(() => MakeAsync(n)));
        try
        {
            return await made.Value;
        }
        catch
        {
            _queues.TryRemove(KeyValuePair.Create(name, made));
            throw;
        }
    }

    /// <summary>Tells the host that delivers that another one has left something; see <see cref="HeardAsync"/>.</summary>
    public async Task RingAsync(CancellationToken cancellation) =>
        await (await TableAsync()).UpsertEntityAsync(new TableEntity(BellRow, BellRow), TableUpdateMode.Replace, cancellation);

    /// <summary>A tag that is another one after each <see cref="RingAsync"/>: one read that says whether there is more to read.</summary>
    public async Task<ETag> HeardAsync(CancellationToken cancellation)
    {
        var row = await (await TableAsync()).GetEntityIfExistsAsync<TableEntity>(BellRow, BellRow, ["PartitionKey"], cancellation);
        return row.HasValue ? row.Value!.ETag : default;
    }

    /// <summary>Submits rows of one partition, as many at a time as storage takes.</summary>
    public async Task SubmitAsync(IEnumerable<TableTransactionAction> actions, CancellationToken cancellation)
    {
        var table = await TableAsync();
        foreach (var chunk in actions.Chunk(100)) await table.SubmitTransactionAsync(chunk, cancellation);
    }

    private async Task<BusQueue> MakeAsync(string name)
    {
        if (name.Length is < 3 or > 58 || name.Any(c => !(char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-')))
            throw new ServiceBusException($"The sandbox's queues have names of 3 to 58 lower-case letters, digits and hyphens; '{name}' is none.", ServiceBusFailureReason.MessagingEntityNotFound, name);
        var queue = _service.GetQueueClient("bus-" + name);
        await queue.CreateIfNotExistsAsync();
        return new BusQueue(name, queue, await TableAsync());
    }
}
