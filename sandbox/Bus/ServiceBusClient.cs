#nullable disable

using System.Diagnostics.CodeAnalysis;
using Azure.Core;

// The sending half of Azure.Messaging.ServiceBus as far as functions/ uses it, with its names and shapes; as there, nothing is
// annotated for null. The classes carry no behaviour: Bus/BusClient.cs puts the sandbox's own behind them, tests put Moq.

namespace Azure.Messaging.ServiceBus;

/// <summary>The way to a namespace's queues. There is no network bus in the sandbox: the one that the host registers keeps messages in its storage.</summary>
public class ServiceBusClient : IAsyncDisposable
{
    protected ServiceBusClient()
    {
    }

    public ServiceBusClient(string connectionString) => ArgumentException.ThrowIfNullOrEmpty(connectionString);

    public ServiceBusClient(string fullyQualifiedNamespace, TokenCredential credential)
    {
        ArgumentException.ThrowIfNullOrEmpty(fullyQualifiedNamespace);
        ArgumentNullException.ThrowIfNull(credential);
        FullyQualifiedNamespace = fullyQualifiedNamespace;
    }

    public virtual string FullyQualifiedNamespace { get; }

    public virtual bool IsClosed { get; private set; }

    public virtual ServiceBusSender CreateSender(string queueOrTopicName) => throw Slice.Empty();

    public virtual ValueTask DisposeAsync()
    {
        IsClosed = true;
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }
}

/// <summary>Sends to one queue. It may be kept and used by many at once.</summary>
public class ServiceBusSender : IAsyncDisposable
{
    protected ServiceBusSender()
    {
    }

    public virtual string EntityPath { get; }

    public virtual Task SendMessageAsync(ServiceBusMessage message, CancellationToken cancellationToken = default) => throw Slice.Empty();

    /// <exception cref="ServiceBusException">Together they are larger than one batch may be.</exception>
    public virtual Task SendMessagesAsync(IEnumerable<ServiceBusMessage> messages, CancellationToken cancellationToken = default) => throw Slice.Empty();

    public virtual Task SendMessagesAsync(ServiceBusMessageBatch messageBatch, CancellationToken cancellationToken = default) => throw Slice.Empty();

    public virtual ValueTask<ServiceBusMessageBatch> CreateMessageBatchAsync(CancellationToken cancellationToken = default) => throw Slice.Empty();

    /// <summary>Sends what is to be enqueued at that time. The number that comes back is what cancels it.</summary>
    public virtual Task<long> ScheduleMessageAsync(
        ServiceBusMessage message, DateTimeOffset scheduledEnqueueTime, CancellationToken cancellationToken = default) => throw Slice.Empty();

    /// <exception cref="ServiceBusException">No such message is scheduled, or not any more.</exception>
    public virtual Task CancelScheduledMessageAsync(long sequenceNumber, CancellationToken cancellationToken = default) => throw Slice.Empty();

    public virtual Task CloseAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    public virtual async ValueTask DisposeAsync()
    {
        await CloseAsync();
        GC.SuppressFinalize(this);
    }
}

/// <summary>Messages that are sent in one go, filled up to what the bus takes.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "The package's own name.")]
public sealed class ServiceBusMessageBatch : IDisposable
{
    private readonly IList<ServiceBusMessage> _messages;
    private readonly Func<ServiceBusMessage, bool> _mayAdd;

    internal ServiceBusMessageBatch(IList<ServiceBusMessage> messages, Func<ServiceBusMessage, bool> mayAdd) => (_messages, _mayAdd) = (messages, mayAdd);

    public int Count => _messages.Count;

    /// <summary>False when the batch would become too large; the message is then for the next one.</summary>
    public bool TryAddMessage(ServiceBusMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (!_mayAdd(message)) return false;
        _messages.Add(message);
        return true;
    }

    public void Dispose()
    {
    }

    internal IEnumerable<ServiceBusMessage> Messages => _messages;
}

internal static class Slice
{
    public static NotSupportedException Empty() => new("The sandbox reaches no Service Bus: take the client from the services, where its own one is registered.");
}
