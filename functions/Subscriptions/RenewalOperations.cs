using System.Diagnostics.Metrics;
using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.Logging;

namespace Harbour.Subscriptions;

/// <summary>Where a subscription stands after its steps were done.</summary>
/// <param name="At">When the next step is due; null where only a change from outside leads on.</param>
/// <param name="Over">True when there will never be another step.</param>
public sealed record RenewalState(DateTimeOffset? At, bool Over = false);

/// <summary>
/// Does what <see cref="Renewal.Next"/> says. Each step is one commit that holds the rows it decided on, so that of several that take
/// the same step one wins, and whatever ends in between is taken up by the next call. A charge is bound to its attempt in the very
/// commit that makes it: no crash and no race can charge an attempt twice.
/// </summary>
public sealed class RenewalOperations(
    Books books, SubscriptionStore store, ChargeOperations charges, ChargeLedger chargeBooks, MandateOperations mandates, MerchantStore merchants, ActivityMarkers activity,
    Ids ids, TimeProvider time, ILogger<RenewalOperations> log)
{
    /// <summary>One call does only so many steps, so that a subscription that fell far behind lets others have their turn, and ends long before its host's limit.</summary>
    private const int MaxSteps = 12;

    private static readonly TimeSpan Soon = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan WhileSuspended = TimeSpan.FromHours(1);

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Attempts = Meter.CreateCounter<long>("harbour.subscriptions.attempts", description: "Attempts to take an invoice by how they ended");

    /// <summary>Does all that is due now for a subscription.</summary>
    public async Task<RenewalState> AdvanceAsync(Book book, Id<Subscription> id, string requestId)
    {
        await activity.MarkAsync(book);
        for (var step = 0; step < MaxSteps; step++)
        {
            if (await store.FindAsync(book, id) is not { } subscription) return new RenewalState(null, Over: true);
            var invoice = await store.LatestInvoiceAsync(book, subscription.Value);
            var work = new Work(book, requestId, subscription, invoice);
            switch (Renewal.Next(subscription.Value, invoice?.Value, time.GetUtcNow()))
            {
                case RenewalStep.Over: return new RenewalState(null, Over: true);
                case RenewalStep.Wait wait: return new RenewalState(wait.Until);
                case RenewalStep.Begin: await BeginAsync(work); break;
                case RenewalStep.Take when await TakeAsync(work) is { } later: return new RenewalState(later);
                case RenewalStep.Settle settle when await SettleAsync(work, settle.Attempt) is { } later: return new RenewalState(later);
                case RenewalStep.Cancel: await CancelAsync(work); break;
                case RenewalStep.Void: await SubmitAsync(work, "invoice.void", work.Invoice!.Value.Voided(time.GetUtcNow())); break;
            }
        }

        return new RenewalState(time.GetUtcNow());
    }

    /// <summary>The next period of a subscription with its invoice, which is due at once.</summary>
    public static (Subscription Subscription, Invoice Invoice) Begin(Subscription before, Id<Invoice> id, string requestId, DateTimeOffset now)
    {
        var subscription = before.Begin(id, now);
        return (subscription, new Invoice
        {
            Id = id,
            Subscription = subscription.Id,
            Mode = subscription.Mode,
            Status = InvoiceStatus.Open,
            PeriodStart = subscription.PeriodStart,
            PeriodEnd = subscription.PeriodEnd,
            Amount = subscription.Amount,
            NextAttemptAt = now,
            RequestId = requestId,
            CreatedAt = id.MadeAt,
            UpdatedAt = now,
        });
    }

    private async Task BeginAsync(Work work)
    {
        var (subscription, invoice) = Begin(work.Subscription.Value, ids.New<Invoice>(), work.RequestId, time.GetUtcNow());
        var commit = books.Begin(work.Book, work.RequestId, "subscription.begin_period");
        SubscriptionStore.Replace(commit, work.Subscription, subscription);
        SubscriptionStore.Insert(commit, invoice);
        await commit.SubmitAsync();
    }

    /// <summary>Makes the next attempt. Answers when to come back where nothing can be charged now; null to go on with what is then true.</summary>
    private async Task<DateTimeOffset?> TakeAsync(Work work)
    {
        var (now, subscription, invoice) = (time.GetUtcNow(), work.Subscription.Value, work.Invoice!);
        if ((await merchants.OfAsync(work.Book)).Status is MerchantStatus.Suspended) return now + WhileSuspended;
        var mandate = await mandates.FindAsync(work.Book, subscription.Mandate) ?? throw new InvalidDataException($"The mandate of {subscription.Id} is gone.");
        if (!mandate.Value.IsActive)
        {
            await SubmitAsync(work, "invoice.not_chargeable", invoice.Value.NotChargeable(Errors.MandateNotActive.Code, now));
            return null;
        }

        var charge = ids.New<Charge>();
        var number = invoice.Value.Attempts.Length + 1;
        var order = new MandateCharge(
            subscription.Amount, mandate.Value, subscription.Reference, $"Subscription {subscription.Id}, attempt {number}",
            new Dictionary<string, string> { ["subscription"] = subscription.Id.Value, ["invoice"] = invoice.Value.Id.Value });
        await charges.TakeAsync(work.Book, charge, order, work.RequestId, commit =>
        {
            SubscriptionStore.Replace(commit, invoice, invoice.Value.Attempting(charge, now));
            // The subscription itself does not change, but one that was paused or cancelled meanwhile must not be charged.
            SubscriptionStore.Replace(commit, work.Subscription, subscription);
        });
        return null;
    }

    /// <summary>Writes what became of an attempt. Answers when to ask again while that is not known; null once it is written.</summary>
    private async Task<DateTimeOffset?> SettleAsync(Work work, Attempt attempt)
    {
        var (now, invoice) = (time.GetUtcNow(), work.Invoice!.Value);
        var charge = (await chargeBooks.FindAsync(work.Book, attempt.Charge!.Value))?.Value;
        if (charge is { IsResolved: false })
        {
            // Whoever sent it may still be waiting for the answer.
            var free = attempt.At + OpenWork.Lease;
            if (now < free) return free;
            charge = await charges.ResolveAsync(work.Book, charge.Id, work.RequestId);
        }

        switch (charge)
        {
            case null: await SubmitAsync(work, "invoice.not_attempted", invoice.NotAttempted(now)); return null;
            case { Status: ChargeStatus.Succeeded }: await SubmitAsync(work, "invoice.pay", invoice.Succeeded(now)); return null;
            case { Status: ChargeStatus.Failed, Failure: { } failure }: await SubmitAsync(work, "invoice.fail", invoice.Failed(failure.Code, failure.DeclineCode, now)); return null;
            case { Status: ChargeStatus.Canceled }: await SubmitAsync(work, "invoice.fail", invoice.Failed("canceled", null, now)); return null;
            default: return now + Wait(now - attempt.At);
        }
    }

    /// <summary>How long until an outcome that is not known is asked about again: the provider's own looks are at 1, 5, 15 and 60 minutes.</summary>
    private static TimeSpan Wait(TimeSpan age) => age < TimeSpan.FromMinutes(5) ? Soon : age < TimeSpan.FromHours(1) ? 5 * Soon : 60 * Soon;

    private async Task CancelAsync(Work work)
    {
        var now = time.GetUtcNow();
        if (!work.Subscription.Value.Cancel(atPeriodEnd: false, now).Ok(out var canceled, out _)) return;
        var commit = books.Begin(work.Book, work.RequestId, "subscription.end");
        Change(commit, work.Subscription, canceled);
        if (work.Invoice is { Value.Status: InvoiceStatus.Open } open) SubscriptionStore.Replace(commit, open, open.Value.Voided(now));
        await commit.SubmitAsync();
    }

    /// <summary>Writes an invoice as it now is, what that makes of its subscription, and the events of both. Another writer that was first stands.</summary>
    private async Task SubmitAsync(Work work, string operation, Invoice after)
    {
        var (before, row) = (work.Invoice!.Value, work.Subscription);
        var subscription = row.Value.After(after, time.GetUtcNow());
        var commit = books.Begin(work.Book, work.RequestId, operation);
        SubscriptionStore.Replace(commit, work.Invoice, after);
        var failed = after.Attempts is [.., { Status: AttemptStatus.Failed } last] && !before.Attempts.Contains(last);
        if (failed) commit.Emit("invoice.payment_failed", InvoiceView.Of(after));
        if (after.Status != before.Status && after.Event is { } type) commit.Emit(type, InvoiceView.Of(after));
        Change(commit, row, subscription);
        // The very first payment is part of the making; every other one says that the subscription goes on.
        if (after.Status is InvoiceStatus.Paid && row.Value.Version > 1 && subscription.Status is SubscriptionStatus.Active) commit.Emit("subscription.renewed", SubscriptionView.Of(subscription));
        if (await commit.SubmitAsync() is null) return;

        if (failed || after.Status is InvoiceStatus.Paid) Attempts.Add(1, new("outcome", after.Status.ToString()), new("number", after.Attempts.Length));
        log.LogInformation("Invoice {Invoice} of {Subscription} is {Status} after {Attempts} attempts; the subscription is {State}", after.Id, subscription.Id, after.Status, after.Attempts.Length, subscription.Status);
    }

    /// <summary>Adds a subscription's change to a commit, with the event of its new status.</summary>
    internal static void Change(Commit commit, Row<Subscription> row, Subscription after)
    {
        SubscriptionStore.Replace(commit, row, after);
        if (after.EventAfter(row.Value.Status) is { } type) commit.Emit(type, SubscriptionView.Of(after));
    }

    /// <summary>The rows that a step decides on.</summary>
    private sealed record Work(Book Book, string RequestId, Row<Subscription> Subscription, Row<Invoice>? Invoice);
}
