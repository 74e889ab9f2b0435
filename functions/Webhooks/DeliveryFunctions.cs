using Azure.Messaging.ServiceBus;
using Harbour.Foundation;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Webhooks;

/// <summary>What the bus starts. A message that cannot be handled ten times is set aside by the bus, where a person sees it and can have it tried again.</summary>
public sealed class DeliveryFunctions(DeliveryOperations operations)
{
    [Function("FanOutEvent")]
    public Task FanOut([ServiceBusTrigger(EventMessage.Queue, Connection = "ServiceBus")] ServiceBusReceivedMessage message)
    {
        var read = Json.Parse<EventMessage>(message.Body.ToString());
        return operations.FanOutAsync(read.Book, read.Event);
    }

    [Function("DeliverWebhook")]
    public Task Deliver([ServiceBusTrigger(DeliveryMessages.Queue, Connection = "ServiceBus")] ServiceBusReceivedMessage message) =>
        operations.DeliverAsync(Json.Parse<DeliveryMessage>(message.Body.ToString()));
}
