using Azure.Messaging.ServiceBus;
using Harbour.Foundation;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Webhooks;

/// <summary>
/// What the bus starts. Work that fails comes again after a growing wait; what still fails after half a day the bus sets aside, where a
/// person sees it and can have it tried again.
/// </summary>
public sealed class DeliveryFunctions(DeliveryOperations operations, DeliveryMessages messages, ILogger<DeliveryFunctions> log)
{
    [Function("FanOutEvent")]
    public Task FanOut([ServiceBusTrigger(EventMessage.Queue, Connection = "ServiceBus")] ServiceBusReceivedMessage message) => HandleAsync(EventMessage.Queue, message, () =>
    {
        var read = Json.Parse<EventMessage>(message.Body.ToString());
        return operations.FanOutAsync(read.Book, read.Event);
    });

    [Function("DeliverWebhook")]
    public Task Deliver([ServiceBusTrigger(DeliveryMessages.Queue, Connection = "ServiceBus")] ServiceBusReceivedMessage message) =>
        HandleAsync(DeliveryMessages.Queue, message, () => operations.DeliverAsync(Json.Parse<DeliveryMessage>(message.Body.ToString())));

    private async Task HandleAsync(string queue, ServiceBusReceivedMessage message, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception e)
        {
            if (!await messages.TryAgainAsync(queue, message)) throw;
            log.LogError(e, "Message {Message} of {Queue} could not be handled; it comes again", message.MessageId, queue);
        }
    }
}
