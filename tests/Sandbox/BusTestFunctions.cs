using Azure.Messaging.ServiceBus;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Tests.Sandbox;

/// <summary>Functions that do with a message what its subject says.</summary>
public sealed class BusTestFunctions(Probe probe, TimeProvider clock)
{
    [Function("Work")]
    public async Task Work(
        [ServiceBusTrigger("work", Connection = "ServiceBus")] ServiceBusReceivedMessage message, ServiceBusMessageActions actions, CancellationToken cancellation)
    {
        probe.Saw($"{message.Subject} {message.MessageId} {message.DeliveryCount}");
        probe.Messages.Enqueue((message, clock.GetUtcNow()));
        switch (message.Subject)
        {
            case "fail" when probe.IsBroken:
                throw new InvalidOperationException("as it should");
            case "hold":
                await probe.Door.Task;
                break;
            case "until stopped" when message.DeliveryCount == 1:
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellation);
                break;
            case "complete, then fail":
                await actions.CompleteMessageAsync(message, cancellation);
                throw new InvalidOperationException("too late to matter");
            case "abandon" when message.DeliveryCount < 3:
                await actions.AbandonMessageAsync(message, new Dictionary<string, object> { ["tries"] = message.DeliveryCount }, cancellation);
                break;
            case "dead":
                await actions.DeadLetterMessageAsync(message, deadLetterReason: "unreadable", deadLetterErrorDescription: "no JSON", cancellationToken: cancellation);
                break;
        }
    }

    [Function("Text")]
    public void Text([ServiceBusTrigger("texts")] string text, FunctionContext context) => probe.Saw($"{context.FunctionDefinition.Name} {text}");

    [Function("Bytes")]
    public Task Bytes([ServiceBusTrigger("bytes")] BinaryData bytes)
    {
        probe.Saw($"{bytes.ToMemory().Length} bytes");
        return Task.CompletedTask;
    }
}

public static class TopicFunctions
{
    [Function("Topic")]
    public static void Topic([ServiceBusTrigger("topic", "subscription")] string message) => Assert.NotNull(message);
}

public static class BatchFunctions
{
    [Function("Batch")]
    public static void Batch([ServiceBusTrigger("batches", IsBatched = true)] string message) => Assert.NotNull(message);
}
