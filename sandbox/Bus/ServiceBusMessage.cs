#nullable disable

namespace Azure.Messaging.ServiceBus;

/// <summary>A message to be sent.</summary>
public class ServiceBusMessage
{
    private const int LongestMessageId = 128;

    public ServiceBusMessage() : this(BinaryData.Empty)
    {
    }

    public ServiceBusMessage(string body) : this(BinaryData.FromString(body))
    {
    }

    public ServiceBusMessage(ReadOnlyMemory<byte> body) : this(BinaryData.FromBytes(body))
    {
    }

    public ServiceBusMessage(BinaryData body)
    {
        ArgumentNullException.ThrowIfNull(body);
        Body = body;
    }

    /// <summary>A copy of a message that was received, to be sent again.</summary>
    public ServiceBusMessage(ServiceBusReceivedMessage receivedMessage)
    {
        ArgumentNullException.ThrowIfNull(receivedMessage);
        (Body, MessageId, Subject) = (receivedMessage.Body, receivedMessage.MessageId, receivedMessage.Subject);
        (ContentType, CorrelationId) = (receivedMessage.ContentType, receivedMessage.CorrelationId);
        foreach (var (name, value) in receivedMessage.ApplicationProperties) ApplicationProperties[name] = value;
    }

    public BinaryData Body { get; set; }

    /// <summary>Of two messages with the same id, a queue that detects duplicates keeps the first. At most 128 characters.</summary>
    public string MessageId
    {
        get;
        set
        {
            if (value?.Length > LongestMessageId) throw new ArgumentOutOfRangeException(nameof(MessageId), $"A message id has at most {LongestMessageId} characters.");
            field = value;
        }
    }

    public string Subject { get; set; }

    public string ContentType { get; set; }

    public string CorrelationId { get; set; }

    /// <summary>When the message is to be enqueued; at once where it is not set.</summary>
    public DateTimeOffset ScheduledEnqueueTime { get; set; }

    /// <summary>Strings, truth values, numbers, GUIDs and times, by name.</summary>
    public IDictionary<string, object> ApplicationProperties { get; } = new Dictionary<string, object>();
}

/// <summary>A message as it was received.</summary>
public class ServiceBusReceivedMessage
{
    internal ServiceBusReceivedMessage()
    {
    }

    public BinaryData Body { get; internal init; }

    public string MessageId { get; internal init; }

    public string Subject { get; internal init; }

    public string ContentType { get; internal init; }

    public string CorrelationId { get; internal init; }

    public IReadOnlyDictionary<string, object> ApplicationProperties { get; internal init; }

    /// <summary>How often it was delivered, this time included.</summary>
    public int DeliveryCount { get; internal init; }

    public long SequenceNumber { get; internal init; }

    public DateTimeOffset EnqueuedTime { get; internal init; }

    public DateTimeOffset ScheduledEnqueueTime { get; internal init; }

    public DateTimeOffset LockedUntil { get; internal init; }

    public string LockToken { get; internal init; }
}

/// <summary>Makes what only the bus makes, for tests. Its methods are to be called with named arguments: the package's take more.</summary>
public static class ServiceBusModelFactory
{
    public static ServiceBusReceivedMessage ServiceBusReceivedMessage(
        BinaryData body = null, string messageId = null, string correlationId = null, string subject = null, string contentType = null,
        DateTimeOffset scheduledEnqueueTime = default, IDictionary<string, object> properties = null, Guid lockTokenGuid = default,
        int deliveryCount = 0, DateTimeOffset lockedUntil = default, long sequenceNumber = -1, DateTimeOffset enqueuedTime = default) => new()
        {
            Body = body ?? BinaryData.Empty,
            MessageId = messageId,
            Subject = subject,
            ContentType = contentType,
            CorrelationId = correlationId,
            ApplicationProperties = properties is null ? new Dictionary<string, object>() : new Dictionary<string, object>(properties),
            DeliveryCount = deliveryCount,
            SequenceNumber = sequenceNumber,
            EnqueuedTime = enqueuedTime,
            ScheduledEnqueueTime = scheduledEnqueueTime,
            LockedUntil = lockedUntil,
            LockToken = lockTokenGuid.ToString(),
        };

    public static ServiceBusMessageBatch ServiceBusMessageBatch(IList<ServiceBusMessage> batchMessageStore, Func<ServiceBusMessage, bool> tryAddCallback = null) =>
        new(batchMessageStore, tryAddCallback ?? (_ => true));
}
