using Azure;
using Azure.Messaging.ServiceBus;

namespace Harbour.Sandbox.Bus;

/// <summary>The client that the functions of the sandbox get: what it sends is kept in the sandbox's own storage.</summary>
internal sealed class BusClient(BusStorage storage, BusArrivals arrivals, TimeProvider clock) : ServiceBusClient
{
    /// <summary>What the standard tier takes, in one message and in one batch: 256 KiB.</summary>
    public const long LargestSend = 256 * 1024;

    private readonly SequenceNumbers _numbers = new(clock);

    public override string FullyQualifiedNamespace => "sandbox";

    public override ServiceBusSender CreateSender(string queueOrTopicName)
    {
        ArgumentException.ThrowIfNullOrEmpty(queueOrTopicName);
        return new BusSender(queueOrTopicName, storage, arrivals, _numbers, clock);
    }
}

/// <summary>Numbers that ascend with the sandbox's time. Two hosts may give the same, so nothing is kept under one alone.</summary>
internal sealed class SequenceNumbers(TimeProvider clock)
{
    private readonly Lock _lock = new();
    private long _last;

    public long Next()
    {
        lock (_lock) return _last = Math.Max(_last + 1, clock.GetUtcNow().UtcTicks);
    }
}

/// <summary>Tells whoever delivers that there is something: the dispatcher of this host, or by the bell the one of another host.</summary>
internal sealed class BusArrivals(BusStorage storage, BusDispatcher? dispatcher)
{
    public Task AnnounceAsync(string queue, IReadOnlyCollection<Scheduled> scheduled)
    {
        if (dispatcher is null) return storage.RingAsync(CancellationToken.None);
        dispatcher.Arrived(queue, scheduled);
        return Task.CompletedTask;
    }
}

internal sealed class BusSender(string queue, BusStorage storage, BusArrivals arrivals, SequenceNumbers numbers, TimeProvider clock) : ServiceBusSender
{
    /// <summary>How many messages of one batch are put into storage at once.</summary>
    private const int Width = 8;

    private readonly KnownMessages _known = new(storage, clock);
    private readonly ScheduledMessages _scheduled = new(storage);

    public override string EntityPath => queue;

    public override Task SendMessageAsync(ServiceBusMessage message, CancellationToken cancellationToken = default) => SendAsync([message], cancellationToken);

    public override Task SendMessagesAsync(IEnumerable<ServiceBusMessage> messages, CancellationToken cancellationToken = default) => SendAsync([.. messages], cancellationToken);

    public override Task SendMessagesAsync(ServiceBusMessageBatch messageBatch, CancellationToken cancellationToken = default) =>
        SendAsync([.. messageBatch.Messages], cancellationToken);

    public override ValueTask<ServiceBusMessageBatch> CreateMessageBatchAsync(CancellationToken cancellationToken = default)
    {
        var size = 0L;
        return ValueTask.FromResult(new ServiceBusMessageBatch([], message =>
        {
            var with = size + Envelope.SizeOf(message);
            if (with > BusClient.LargestSend) return false;
            size = with;
            return true;
        }));
    }

    public override async Task<long> ScheduleMessageAsync(ServiceBusMessage message, DateTimeOffset scheduledEnqueueTime, CancellationToken cancellationToken = default)
    {
        message.ScheduledEnqueueTime = scheduledEnqueueTime;
        return (await SendAsync([message], cancellationToken))[0];
    }

    public override async Task CancelScheduledMessageAsync(long sequenceNumber, CancellationToken cancellationToken = default)
    {
        if (!await Reaching(_scheduled.CancelAsync(queue, sequenceNumber, cancellationToken)))
            throw new ServiceBusException($"No message {sequenceNumber} is scheduled.", ServiceBusFailureReason.MessageNotFound, queue);
    }

    /// <summary>Answers the sequence numbers, those of dropped duplicates included.</summary>
    private async Task<List<long>> SendAsync(List<ServiceBusMessage> messages, CancellationToken cancellation)
    {
        if (messages.Sum(Envelope.SizeOf) > BusClient.LargestSend)
            throw new ServiceBusException($"{messages.Count} messages are larger than the {BusClient.LargestSend} bytes that one send may have.", ServiceBusFailureReason.MessageSizeExceeded, queue);

        var sent = messages.ConvertAll(m => (Envelope: Make(m), IsNamed: m.MessageId is not null));
        await Reaching(EnqueueAsync(sent, cancellation));
        return sent.ConvertAll(s => s.Envelope.SequenceNumber);
    }

    private async Task<bool> EnqueueAsync(List<(Envelope Envelope, bool IsNamed)> messages, CancellationToken cancellation)
    {
        var named = await _known.NoteAsync(queue, [.. messages.Where(m => m.IsNamed).Select(m => m.Envelope)], cancellation);
        List<Envelope> all = [.. named, .. messages.Where(m => !m.IsNamed).Select(m => m.Envelope)];
        if (all.Count == 0) return true;

        var scheduled = new System.Collections.Concurrent.ConcurrentBag<Scheduled>();
        try
        {
            var ready = await storage.QueueAsync(queue);
            await Parallel.ForEachAsync(all, new ParallelOptions { MaxDegreeOfParallelism = Width, CancellationToken = cancellation }, async (envelope, cancelled) =>
            {
                if (envelope.ScheduledEnqueueTime > clock.GetUtcNow()) scheduled.Add(await _scheduled.AddAsync(queue, envelope, cancelled));
                else await ready.PutAsync(envelope, cancelled);
            });
            if (named.Count > 0) await _known.ConfirmAsync(queue, named, cancellation);
        }
        finally
        {
            // Some may be there even if not all are.
            await arrivals.AnnounceAsync(queue, scheduled);
        }

        return true;
    }

    private Envelope Make(ServiceBusMessage message)
    {
        var now = clock.GetUtcNow();
        var key = Guid.CreateVersion7(now).ToString("N");
        var properties = message.ApplicationProperties.ToDictionary(p => p.Key, p => PropertyText.Of(p.Value));
        return new(
            key, numbers.Next(), message.MessageId ?? key, message.Subject, message.ContentType, message.CorrelationId, properties,
            now, message.ScheduledEnqueueTime, message.Body.ToArray());
    }

    /// <summary>Storage that does not answer is, to whoever sends, a bus that does not.</summary>
    private async Task<bool> Reaching(Task<bool> work)
    {
        try
        {
            return await work;
        }
        catch (Exception e) when (e is RequestFailedException or AggregateException)
        {
            throw new ServiceBusException("The bus's storage did not answer.", ServiceBusFailureReason.ServiceCommunicationProblem, queue, e);
        }
    }
}
