using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Refunds;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Operations;

/// <summary>
/// Looks after the partitions in which something happened: asks the provider about outcomes that are still open when they are due,
/// and moves the heads of the accounts on. Activity markers say which partitions those are. A marker goes when it is ten minutes old and
/// its partition's events are all on the bus; what is due later has marked its own minute by then.
/// </summary>
public sealed class Janitor(
    Books books, ActivityMarkers activity, ChargeOperations charges, ChargeChanges changes, RefundOperations refunds, MandateOperations mandates, LedgerBooks ledger, Outbox outbox, Ids ids, TimeProvider time,
    ILogger<Janitor> log)
{
    /// <summary>How many open outcomes are asked about at once.</summary>
    private const int Width = 8;

    private static readonly TimeSpan Retire = TimeSpan.FromMinutes(10);

    [Function("Janitor")]
    public Task Run([TimerTrigger("0 * * * * *")] TimerInfo timer) => SweepAsync(advanceHeads: true);

    /// <summary>Asks about all that is due now in the active partitions.</summary>
    public async Task SweepAsync(bool advanceHeads)
    {
        var now = time.GetUtcNow();
        var marks = await activity.ReadAsync(now);
        foreach (var book in marks.Select(mark => mark.Book).Distinct().ToList())
        {
            try
            {
                await SweepAsync(book, now);
                if (advanceHeads) await ledger.AdvanceAsync(book, "req_" + ids.NewKey());
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // One partition in trouble must not keep the others from being looked after; its markers stay.
                log.LogError(e, "The janitor could not finish {Book}", book.Partition);
                marks.RemoveAll(mark => mark.Book == book);
            }
        }

        foreach (var old in marks.Where(mark => mark.Minute <= now - Retire).GroupBy(mark => mark.Book))
        {
            // The sweep of the outbox finds its partitions by their markers too.
            if (await outbox.HasPointersAsync(old.Key)) continue;
            foreach (var mark in old) await activity.RetireAsync(mark);
        }
    }

    /// <summary>When the earliest open outcome of the active partitions is due; null when nothing is open.</summary>
    public async Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellation)
    {
        DateTimeOffset? next = null;
        foreach (var book in (await activity.ReadAsync(DateTimeOffset.MaxValue, cancellation)).Select(mark => mark.Book).Distinct())
        {
            foreach (var work in await ReadOpenAsync(book, cancellation))
                if (next is null || work.Due < next) next = work.Due;
        }

        return next;
    }

    private async Task SweepAsync(Book book, DateTimeOffset now)
    {
        var open = await ReadOpenAsync(book, default);
        await Parallel.ForEachAsync(open.Where(work => work.Due <= now), new ParallelOptions { MaxDegreeOfParallelism = Width }, async (work, _) =>
        {
            try
            {
                await LookAsync(book, work);
            }
            catch (Exception e)
            {
                log.LogError(e, "The look at {Object} failed; it is tried again in a minute", work.Object);
            }
        });

        // A marker goes only long after the request that set it has ended, so what opens after this read has a marker of its own.
        if (open.Count == 0) return;

        // What is still open marks the minute in which it is due, so that these markers may go.
        foreach (var due in (await ReadOpenAsync(book, default)).Select(work => work.Due).Distinct()) await activity.MarkAsync(book, due > now ? due : now);
    }

    private Task LookAsync(Book book, OpenWork work)
    {
        var requestId = "req_" + ids.NewKey();
        using var scope = log.BeginScope(new Dictionary<string, object> { ["RequestId"] = requestId, ["Merchant"] = book.Merchant, ["Mode"] = book.Mode });
        log.LogInformation("Look {Look} at {Object}", work.Looks + 1, work.Object);
        return work.Kind switch
        {
            "charge" => charges.ResolveAsync(book, Id<Charge>.Parse(work.Object), requestId),
            "refund" => refunds.ResolveAsync(book, Id<Refund>.Parse(work.Object), requestId),
            "mandate" => mandates.ResolveAsync(book, Id<Mandate>.Parse(work.Object), requestId),
            _ => changes.ResolveAsync(book, work.Object, Id<Charge>.Parse(work.Charge), requestId),
        };
    }

    private async Task<List<OpenWork>> ReadOpenAsync(Book book, CancellationToken cancellation)
    {
        var prefix = OpenWork.Key("");
        return await books.ScanAsync(book, prefix, prefix + Books.Last, cancellation: cancellation).Select(row => Books.Row<OpenWork>(row).Value).ToListAsync(cancellation);
    }
}
