using Azure.Messaging.ServiceBus;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>
/// Sends what the pump missed: events of a worker that was frozen or killed after its commit, or while the bus did not answer. Its
/// period is the delay that is promised for an event. Activity markers say which partitions to look at; the first sweep of a process
/// looks at all of them, in case markers were retired by an earlier version that did not know of pointers.
/// </summary>
public sealed class OutboxSweeper(Outbox outbox, ActivityMarkers activity, TimeProvider time, ILogger<OutboxSweeper> log, OutboxSweeper.Progress progress)
{
    /// <summary>Younger events are the pump's.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private const int BatchSize = 1000;

    /// <summary>How many partitions are looked at at once.</summary>
    private const int Width = 8;

    /// <summary>What a process remembers from one sweep to the next.</summary>
    public sealed class Progress
    {
        internal bool LookedEverywhere { get; set; }
    }

    [Function("OutboxSweeper")]
    public async Task Run([TimerTrigger("*/10 * * * * *")] TimerInfo timer, CancellationToken cancellation)
    {
        var now = time.GetUtcNow();
        var all = true;
        var books = progress.LookedEverywhere
            ? (await activity.ReadAsync(now, cancellation)).Select(mark => mark.Book).Distinct().ToAsyncEnumerable()
            : outbox.AllBooksAsync(cancellation);
        try
        {
            await Parallel.ForEachAsync(books, new ParallelOptions { MaxDegreeOfParallelism = Width, CancellationToken = cancellation },
                async (book, cancelled) =>
                {
                    if (!await SweepAsync(book, now - Patience, cancelled)) Volatile.Write(ref all, false);
                });
            progress.LookedEverywhere |= all;
        }
        catch (ServiceBusException e)
        {
            log.LogWarning(e, "The bus does not take events; the next sweep tries again");
        }
    }

    /// <summary>False when storage did not let it finish.</summary>
    private async Task<bool> SweepAsync(Book book, DateTimeOffset before, CancellationToken cancellation)
    {
        try
        {
            await foreach (var pointers in outbox.ReadAsync(book, before, cancellation).Chunk(BatchSize).WithCancellation(cancellation))
            {
                await outbox.SendAsync(pointers, "sweep", cancellation);
                log.LogInformation("Swept {Count} events of {Book}, the first of request {RequestId}", pointers.Length, book.Partition, pointers[0].RequestId);
            }

            return true;
        }
        catch (Exception e) when (Storage.IsFailure(e))
        {
            // One partition in trouble must not keep the others' events back; its pointers stay.
            log.LogError(e, "The outbox of {Book} could not be swept", book.Partition);
            return false;
        }
    }
}
