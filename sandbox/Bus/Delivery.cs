using Azure;
using Azure.Messaging.ServiceBus;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Sandbox.Bus;

/// <summary>
/// One message that is under way to a function: the lock on it, and the one time that it may be settled, by the function or, when that
/// has returned, by the dispatcher.
/// </summary>
internal sealed class Delivery(BusQueue queue, DeadLetters deadLetters, Received received, TimeProvider clock) : ServiceBusMessageActions, IDisposable
{
    /// <summary>How often a message is delivered before it is a dead letter.</summary>
    public const int MaxDeliveryCount = 10;

    private static readonly TimeSpan Renewal = BusQueue.Lock / 3;

    private readonly SemaphoreSlim _turn = new(1);
    private string _receipt = received.Receipt;

    /// <summary>What the function is given.</summary>
    public ServiceBusReceivedMessage Message { get; } = received.Envelope.Receive(received.DeliveryCount, clock.GetUtcNow() + BusQueue.Lock);

    public BinaryData Body => Message.Body;

    public string Text => Message.Body.ToString();

    public bool IsSettled { get; private set; }

    /// <summary>True once its queue has it again, or has it still.</summary>
    public bool IsAbandoned { get; private set; }

    public bool IsLast => received.DeliveryCount >= MaxDeliveryCount;

    public bool IsBeyondLast => received.DeliveryCount > MaxDeliveryCount;

    /// <summary>The lock had lapsed under a living host, and the same message was received again: its new receipt settles it.</summary>
    public void TakeOver(string receipt) => Volatile.Write(ref _receipt, receipt);

    /// <summary>Renews the lock until cancelled.</summary>
    public async Task KeepLockedAsync(CancellationToken done)
    {
        try
        {
            while (true)
            {
                await Task.Delay(Renewal, TimeProvider.System, done);
                await _turn.WaitAsync(done);
                try
                {
                    if (IsSettled) return;
                    _receipt = await queue.RenewAsync(received, _receipt, done);
                }
                catch (RequestFailedException)
                {
                    // The next renewal may get through. If the lock is lost by then, the message comes again: see TakeOver.
                }
                finally
                {
                    _turn.Release();
                }
            }
        }
        catch (OperationCanceledException) when (done.IsCancellationRequested)
        {
        }
    }

    public override Task CompleteMessageAsync(ServiceBusReceivedMessage message, CancellationToken cancellationToken = default) =>
        SettleAsync(message, () => queue.CompleteAsync(received, _receipt));

    public override Task AbandonMessageAsync(
        ServiceBusReceivedMessage message, IDictionary<string, object>? propertiesToModify = null, CancellationToken cancellationToken = default) =>
        IsLast
            ? DeadLetterMessageAsync(message, deadLetterReason: "MaxDeliveryCountExceeded",
                deadLetterErrorDescription: $"The message could not be handled in {MaxDeliveryCount} deliveries.", cancellationToken: cancellationToken)
            : SettleAsync(message, async () =>
            {
                await queue.AbandonAsync(received, _receipt, propertiesToModify is { Count: > 0 } ? received.Envelope.With(propertiesToModify) : null);
                IsAbandoned = true;
            });

    public override Task DeadLetterMessageAsync(
        ServiceBusReceivedMessage message, Dictionary<string, object>? propertiesToModify = null, string? deadLetterReason = null,
        string? deadLetterErrorDescription = null, CancellationToken cancellationToken = default) =>
        SettleAsync(message, async () =>
        {
            var letter = new DeadLetter(received.Envelope.With(propertiesToModify), deadLetterReason, deadLetterErrorDescription, Math.Min(received.DeliveryCount, MaxDeliveryCount));
            await deadLetters.AddAsync(queue.Name, letter, CancellationToken.None);
            await queue.CompleteAsync(received, _receipt);
        });

    public void Dispose() => _turn.Dispose();

    private async Task SettleAsync(ServiceBusReceivedMessage message, Func<Task> settle)
    {
        await _turn.WaitAsync();
        try
        {
            if (IsSettled || message.LockToken != Message.LockToken)
                throw new ServiceBusException("The message is settled already, or was not delivered to this invocation.", ServiceBusFailureReason.MessageLockLost, queue.Name);
            await settle();
            IsSettled = true;
        }
        catch (RequestFailedException e)
        {
            throw new ServiceBusException("The message could not be settled.", ServiceBusFailureReason.ServiceCommunicationProblem, queue.Name, e);
        }
        finally
        {
            _turn.Release();
        }
    }
}
