using System.Globalization;
using Azure.Messaging.ServiceBus;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>What the queue <c>merchant-events</c> says: this event happened.</summary>
public sealed record EventMessage(string Merchant, Mode Mode, Id<Event> Event)
{
    public const string Queue = "merchant-events";

    [System.Text.Json.Serialization.JsonIgnore]
    public Book Book => new(Merchant, Mode);
}

/// <summary>What the queue <c>webhook-deliveries</c> says: it is this delivery's turn.</summary>
/// <param name="Turn">Which turn is meant.</param>
/// <param name="PutOff">How often it was put off because its endpoint was busy, or came before its time.</param>
/// <param name="Spare">Sent ahead of a commit in case its sender ends before it sends the real one.</param>
public sealed record DeliveryMessage(string Merchant, Mode Mode, Id<Event> Event, Id<WebhookEndpoint> Endpoint, int Turn, int PutOff = 0, bool Spare = false)
{
    public static DeliveryMessage Of(Book book, Delivery delivery) => new(book.Merchant, book.Mode, delivery.Event, delivery.Endpoint, delivery.Turn);

    [System.Text.Json.Serialization.JsonIgnore]
    public Book Book => new(Merchant, Mode);

    /// <summary>The same for what may be sent twice, so that the queue drops the second; another one for each time that it is put off.</summary>
    internal string Id => $"{Delivery.IdOf(Event, Endpoint)}:{Turn}{(PutOff > 0 ? $":{PutOff}" : "")}{(Spare ? ":spare" : "")}";
}

/// <summary>Sends the messages of deliveries. That they wait on the bus and not in a worker is what lets them outlive one.</summary>
public sealed class DeliveryMessages(ServiceBusClient bus, TimeProvider time)
{
    public const string Queue = "webhook-deliveries";

    private const string TriesProperty = "tries";

    /// <summary>After so many the bus is left to set the message aside: by then half a day has passed.</summary>
    private const int MaxTries = 20;

    private static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(5), LongestWait = TimeSpan.FromHours(1);

    private readonly Lazy<ServiceBusSender> sender = new(() => bus.CreateSender(Queue));
    private readonly Lazy<ServiceBusSender> events = new(() => bus.CreateSender(EventMessage.Queue));

    /// <summary>
    /// Has a message whose work failed come again after a while, longer each time: the bus itself would bring it back at once, and set it
    /// aside before storage or the vault has recovered. False when it has been tried often enough.
    /// </summary>
    public async Task<bool> TryAgainAsync(string queue, ServiceBusReceivedMessage message)
    {
        var tries = (message.ApplicationProperties.TryGetValue(TriesProperty, out var before) ? Convert.ToInt32(before, CultureInfo.InvariantCulture) : 0) + 1;
        if (tries > MaxTries) return false;
        var wait = FirstWait * Math.Pow(2, tries - 1);
        await (queue == Queue ? sender : events).Value.SendMessageAsync(new ServiceBusMessage(message.Body)
        {
            MessageId = $"{message.MessageId.Split('~')[0]}~{tries}",
            Subject = message.Subject,
            ContentType = message.ContentType,
            CorrelationId = message.CorrelationId,
            ApplicationProperties = { [TriesProperty] = tries },
            ScheduledEnqueueTime = time.GetUtcNow() + (wait < LongestWait ? wait : LongestWait),
        });
        return true;
    }

    /// <param name="at">When it is to arrive; null for now.</param>
    public Task SendAsync(DeliveryMessage message, DateTimeOffset? at = null) => sender.Value.SendMessageAsync(Wrap(message, at));

    public async Task SendAsync(IEnumerable<DeliveryMessage> messages, DateTimeOffset? at = null)
    {
        var wrapped = messages.Select(message => Wrap(message, at)).ToList();
        if (wrapped.Count > 0) await sender.Value.SendMessagesAsync(wrapped);
    }

    private static ServiceBusMessage Wrap(DeliveryMessage message, DateTimeOffset? at)
    {
        var wrapped = new ServiceBusMessage(BinaryData.FromBytes(Json.Bytes(message))) { MessageId = message.Id, ContentType = "application/json" };
        if (at is { } moment) wrapped.ScheduledEnqueueTime = moment;
        return wrapped;
    }
}
