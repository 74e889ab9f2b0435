using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.Logging;

namespace Harbour.Subscriptions;

/// <summary>
/// Compares every subscription with its orchestration once a day, after midnight in Hong Kong. One that has none gets one, one that is
/// overdue is woken, an orchestration without a subscription that needs it is woken too and ends by itself. All of these are things that
/// should not happen, so each is counted and logged; one that is still overdue the next day is for a person.
/// </summary>
public sealed class RenewalWatch(SubscriptionStore store, MerchantStore merchants, TimeProvider time, ILogger<RenewalWatch> log)
{
    /// <summary>How late a step may be before it is called overdue, and before a person is called.</summary>
    private static readonly TimeSpan Late = TimeSpan.FromHours(1), TooLate = TimeSpan.FromHours(24);

    /// <summary>How many partitions are looked at at once.</summary>
    private const int Width = 8;

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Healed = Meter.CreateCounter<long>("harbour.subscriptions.healed", description: "Subscriptions whose orchestration was missing, late or left over");

    [Function("RenewalWatch")]
    public async Task Run([TimerTrigger("0 30 16 * * *")] TimerInfo timer, [DurableClient] DurableTaskClient durable)
    {
        var (listing, finding) = (RunningAsync(durable), store.BooksAsync());
        var (flows, books) = (await listing, await finding);
        await Parallel.ForEachAsync(books, new ParallelOptions { MaxDegreeOfParallelism = Width }, async (book, cancellation) =>
        {
            await foreach (var subscription in store.AliveAsync(book))
            {
                var running = flows.TryRemove(subscription.Id.Value, out _);
                await TryAsync(subscription.Id.Value, () => CompareAsync(durable, book, subscription, running));
            }
        });

        foreach (var (id, createdAt) in flows.Where(flow => flow.Value < time.GetUtcNow() - Late))
        {
            Count("left over");
            log.LogWarning("The orchestration {Subscription}, started {At}, has no subscription that needs it; it is woken to end", id, createdAt);
            await TryAsync(id, () => durable.RaiseEventAsync(id, RenewalFlow.Changed, id));
        }
    }

    /// <summary>One subscription in trouble must not keep the others from being looked after.</summary>
    private async Task TryAsync(string id, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception e)
        {
            log.LogError(e, "{Subscription} could not be compared with its orchestration", id);
        }
    }

    private async Task CompareAsync(DurableTaskClient durable, Book book, Subscription subscription, bool running)
    {
        var due = Renewal.DueAt(subscription, (await store.LatestInvoiceAsync(book, subscription))?.Value, time.GetUtcNow());
        var late = due is { } at ? time.GetUtcNow() - at : TimeSpan.Zero;
        if (running && late < Late) return;
        // Nothing of a suspended merchant is charged, so all of it is late.
        if ((await merchants.OfAsync(book)).Status is MerchantStatus.Suspended) return;

        Count(running ? "late" : "missing");
        if (late >= TooLate) log.LogCritical("{Subscription} of {Book} has been due since {Due}; its orchestration {State}", subscription.Id, book.Partition, due, running ? "runs" : "was missing");
        else log.LogWarning("The orchestration of {Subscription} of {Book} {State}; it is woken", subscription.Id, book.Partition, running ? "is late" : "was missing");
        await RenewalFlow.WakeAsync(durable, book, subscription.Id);
    }

    /// <summary>The orchestrations that have not ended, with the time of their start.</summary>
    private static async Task<ConcurrentDictionary<string, DateTimeOffset>> RunningAsync(DurableTaskClient durable)
    {
        var query = new OrchestrationQuery(
            Statuses: [OrchestrationRuntimeStatus.Running, OrchestrationRuntimeStatus.Pending, OrchestrationRuntimeStatus.Suspended, OrchestrationRuntimeStatus.ContinuedAsNew],
            InstanceIdPrefix: Subscription.Prefix);
        var running = new ConcurrentDictionary<string, DateTimeOffset>(StringComparer.Ordinal);
        await foreach (var flow in durable.GetAllInstancesAsync(query)) running[flow.InstanceId] = flow.CreatedAt;
        return running;
    }

    private static void Count(string what) => Healed.Add(1, new KeyValuePair<string, object?>("what", what));
}
