using System.Diagnostics.Metrics;
using Harbour.Access;
using Harbour.Charges;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Providers;
using Microsoft.Extensions.Logging;

namespace Harbour.Refunds;

/// <summary>What a caller asked for when making a refund.</summary>
/// <param name="Amount">Minor units; null for all that is left.</param>
public sealed record RefundRequest(long? Amount, string? Reason, string? Reference);

/// <summary>
/// How money is given back. The first commit takes it from the merchant's balance, through the account's head, and reserves it on the
/// charge; then the provider is asked; the second commit settles: the money has left, or it comes back. Of many refunds at once no
/// more get through the first commit than the charge and the balance cover.
/// </summary>
public sealed class RefundOperations(
    Books books, RefundStore store, ChargeLedger charges, LedgerBooks ledger, Router router, Idempotency idempotency, TimeProvider time,
    ILogger<RefundOperations> log)
{
    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("harbour.refunds", description: "Refunds by the status that they reached");

    /// <summary>Makes a refund, or answers what the same key was answered before.</summary>
    public Task<Answer> CreateAsync(Call call, Id<Charge> charge, RefundRequest request) => idempotency.RunAsync(call,
        (key, known) => StartAsync(call, charge, request, key, known),
        async claim => await ResolveAsync(call.Book, Id<Refund>.Parse(claim.Value.Object), call.RequestId) is { } refund
            ? Answering(refund, claim.Value)
            : call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) }));

    private async Task<Answer?> StartAsync(Call call, Id<Charge> chargeId, RefundRequest request, string key, Row<Claim>? known)
    {
        if (await charges.FindAsync(call.Book, chargeId) is not { } charge) return call.Problem(Errors.ChargeNotFound);
        if (!Refund.AmountOf(charge.Value, request.Amount).Ok(out var amount, out var refusal)) return call.Problem(refusal);
        var held = await ledger.ReadAsync(call.Book, Account.MerchantAvailable, amount.Currency);
        if (held.Balance - amount < -call.Merchant.RefundAllowanceIn(amount.Currency)) return call.Problem(Errors.InsufficientFunds.At("amount", amount.Minor, amount.Currency));

        var id = idempotency.IdFor<Refund>(known);
        var now = time.GetUtcNow();
        var refund = new Refund
        {
            Id = id,
            Charge = chargeId,
            Mode = call.Mode,
            Amount = amount,
            Reason = request.Reason,
            Reference = request.Reference,
            Provider = charge.Value.Provider.Name,
            RequestId = call.RequestId,
            CreatedAt = id.MadeAt,
            UpdatedAt = now,
        };
        var claim = Idempotency.Claim(call, id.Value, known, now);
        var open = OpenWork.Begin("refund", id.Value, chargeId.Value, key, now);

        var commit = books.Begin(call.Book, call.RequestId, "refund.create");
        Idempotency.Put(commit, key, known, claim);
        RefundStore.Insert(commit, refund);
        ChargeLedger.Refund(commit, charge, amount, now);
        commit.Insert(OpenWork.Key(open.Object), open);
        held.Take(commit, -amount, id.Value);
        commit.Post("refund", id.Value, (Account.MerchantAvailable, -amount), (Account.InTransitOut, amount));
        if (await commit.SubmitAsync() is not { } committed) return null;

        var work = new Open(
            call.Book, call.RequestId, charge.Value.Provider.Reference!, new Row<Refund>(RefundStore.Key(id), refund, committed.Tag(RefundStore.Key(id))),
            new Row<OpenWork>(OpenWork.Key(open.Object), open, committed.Tag(OpenWork.Key(open.Object))), new Row<Claim>(key, claim, committed.Tag(key)));
        var outcome = time.GetUtcNow() < now + OpenWork.SendWindow
            ? await router.Named(refund.Provider).RefundAsync(new ProviderRefund(id.Value, call.Mode, work.PaymentReference, amount, request.Reason, call.RequestId), CancellationToken.None)
            : new ProviderOutcome.NotAttempted("the send window had passed");
        try
        {
            if (outcome is not ProviderOutcome.NotAttempted refused) return Answering(await SettleAsync(work, outcome), claim);
            log.LogWarning("Refund {Refund} was not attempted: {Reason}", id, refused.Reason);
            return await WithdrawAsync(work) is { } settled ? Answering(settled, claim) : call.Problem(Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (StorageException e) when (outcome is ProviderOutcome.NotAttempted)
        {
            // Perhaps it is taken back, perhaps it is still there and will turn out to be absent: nobody may be told that it exists.
            log.LogError(e, "Refund {Refund} was not attempted, and whether it was taken back is not known", id);
            return call.Problem(Errors.StorageUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (Exception e)
        {
            log.LogError(e, "Refund {Refund} was sent, but its outcome could not be written; it resolves later", id);
            return Answer.Of(202, RefundView.Of(refund));
        }
    }

    /// <summary>Takes back a refund that provably never reached the provider. Answers the refund if another writer settled it first.</summary>
    private async Task<Refund?> WithdrawAsync(Open work)
    {
        var round = 0;
        for (Open? open = work; open is not null && round < Idempotency.MaxRounds; open = await ReopenAsync(open), round++)
        {
            var commit = books.Begin(open.Book, open.RequestId, "refund.withdraw");
            RefundStore.Remove(commit, open.Refund);
            await GiveBackAsync(commit, open);
            commit.Delete(open.Marker.Key, open.Marker.ETag);
            commit.Replace(open.Claim!.Key, open.Claim.ETag, open.Claim.Value.Release(time.GetUtcNow()));
            if (await commit.SubmitAsync() is not null) return null;
        }

        return (await store.FindAsync(work.Book, work.Refund.Value.Id))?.Value;
    }

    /// <summary>Asks the provider what became of an open refund and settles it. Null when there is no such refund.</summary>
    public async Task<Refund?> ResolveAsync(Book book, Id<Refund> id, string requestId)
    {
        var (refund, marker) = (await store.FindAsync(book, id), await books.ReadAsync<OpenWork>(book, OpenWork.Key(id.Value)));
        if (refund is null || marker is null) return refund?.Value;
        if (await charges.FindAsync(book, refund.Value.Charge) is not { Value.Provider.Reference: { } reference }) throw new InvalidDataException($"The charge of {id} is gone.");
        var claim = await marker.Value.ReadClaimAsync(books, book);
        var outcome = await router.Named(refund.Value.Provider).FindRefundAsync(new ProviderFindRefund(id.Value, book.Mode, reference, requestId), CancellationToken.None);
        return await SettleAsync(new Open(book, requestId, reference, refund, marker, claim, Looked: true), outcome);
    }

    /// <summary>
    /// Writes what the provider said. Where another refund changed the charge meanwhile, the same is written over again; where another
    /// writer settled this refund, that one's word stands.
    /// </summary>
    private async Task<Refund> SettleAsync(Open work, ProviderOutcome outcome)
    {
        var round = 0;
        for (Open? open = work; open is not null && round < Idempotency.MaxRounds; open = await ReopenAsync(open), round++)
        {
            var now = time.GetUtcNow();
            var before = open.Refund.Value;
            var lapsed = !open.Marker.Value.Lapsed && outcome is ProviderOutcome.Absent && open.Marker.Value.AbsenceIsFinal(now);
            var after = lapsed ? before.NeverReceived(now) : After(open, outcome, now);
            var refund = after ?? before;

            var commit = books.Begin(open.Book, open.RequestId, "refund.settle");
            if (after is not null) await WriteAsync(commit, open, after);
            if (lapsed) commit.Replace(open.Marker.Key, open.Marker.ETag, open.Marker.Value.Lapse(now));
            else if (refund.IsResolved && outcome is not (ProviderOutcome.Unknown or ProviderOutcome.NotAttempted)) commit.Delete(open.Marker.Key, open.Marker.ETag);
            else if (open.Looked && open.Marker.Value.IsDue(now)) commit.Replace(open.Marker.Key, open.Marker.ETag, open.Marker.Value.Looked(now));
            if (open.Claim is { Value.Status: null } claim)
            {
                var answer = Answering(refund, claim.Value);
                commit.Replace(claim.Key, claim.ETag, answer.Status == 202 ? claim.Value with { LeaseUntil = now } : claim.Value.Answered(answer));
            }

            if (await commit.SubmitAsync() is null) continue;
            if (after is not null) Outcomes.Add(1, new("status", after.Status.ToString()), new("provider", after.Provider));
            log.LogInformation("Refund {Refund} is {Status}", refund.Id, refund.Status);
            return refund;
        }

        return (await store.FindAsync(work.Book, work.Refund.Value.Id))?.Value ?? work.Refund.Value;
    }

    /// <summary>What the outcome makes of the refund. One that was given up can only turn out to have landed after all.</summary>
    private static Refund? After(Open open, ProviderOutcome outcome, DateTimeOffset now)
    {
        if (open.Refund.Value.Status is RefundStatus.Failed)
            return outcome is ProviderOutcome.KnownRefund { Refund.Status: ProviderRefundStatus.Succeeded } ? open.Refund.Value.After(outcome, now) : null;
        return open.Refund.Value.After(outcome is ProviderOutcome.Absent or ProviderOutcome.NotAttempted ? new ProviderOutcome.Unknown("the provider could not say") : outcome, now);
    }

    /// <summary>The refund's row, its postings and its event.</summary>
    private async Task WriteAsync(Commit commit, Open open, Refund after)
    {
        commit.Replace(open.Refund.Key, open.Refund.ETag, after);
        if (after.Status is RefundStatus.Succeeded)
        {
            if (open.Refund.Value.Status is RefundStatus.Failed) await TakeAgainAsync(commit, open);
            commit.Post("refund", after.Id.Value, (Account.InTransitOut, -after.Amount), (Account.ProviderReceivable(after.Provider), after.Amount));
        }

        if (after.Status is RefundStatus.Failed) await GiveBackAsync(commit, open);
        if (after.IsResolved) commit.Emit(after.Status is RefundStatus.Succeeded ? "refund.succeeded" : "refund.failed", RefundView.Of(after));
    }

    /// <summary>The money of a refund that failed goes back to the balance, and can be refunded again.</summary>
    private async Task GiveBackAsync(Commit commit, Open open)
    {
        var refund = open.Refund.Value;
        var charge = await charges.FindAsync(open.Book, refund.Charge) ?? throw new InvalidDataException($"The charge of {refund.Id} is gone.");
        ChargeLedger.Refund(commit, charge, -refund.Amount, time.GetUtcNow());
        commit.Post("refund", refund.Id.Value, (Account.InTransitOut, -refund.Amount), (Account.MerchantAvailable, refund.Amount));
    }

    /// <summary>
    /// A refund that had been given up landed after all: the payer has the money, so it leaves the balance again, whatever is left there,
    /// and a person is told.
    /// </summary>
    private async Task TakeAgainAsync(Commit commit, Open open)
    {
        var refund = open.Refund.Value;
        log.LogCritical("Refund {Refund} was given up but the provider carried it out; the books follow", refund.Id);
        var charge = await charges.FindAsync(open.Book, refund.Charge) ?? throw new InvalidDataException($"The charge of {refund.Id} is gone.");
        if (charge.Value.Refundable >= refund.Amount) ChargeLedger.Refund(commit, charge, refund.Amount, time.GetUtcNow());
        var held = await ledger.ReadAsync(open.Book, Account.MerchantAvailable, refund.Amount.Currency);
        held.Take(commit, -refund.Amount, refund.Id.Value);
        commit.Post("refund", refund.Id.Value, (Account.MerchantAvailable, -refund.Amount), (Account.InTransitOut, refund.Amount));
    }

    /// <summary>The rows as they are now; null once another writer has settled the refund.</summary>
    private async Task<Open?> ReopenAsync(Open work)
    {
        var refund = await store.FindAsync(work.Book, work.Refund.Value.Id);
        var marker = await books.ReadAsync<OpenWork>(work.Book, work.Marker.Key);
        if (refund is null || marker is null || refund.Value.Status != work.Refund.Value.Status) return null;
        return work with { Refund = refund, Marker = marker, Claim = await marker.Value.ReadClaimAsync(books, work.Book) };
    }

    private static Answer Answering(Refund refund, Claim claim)
    {
        if (!refund.IsResolved) return Answer.Of(202, RefundView.Of(refund));
        return refund.Failure is { } failure
            ? Answer.Problem(Errors.Decline(failure.Code).About("refund", refund.Id.Value) with { DeclineCode = failure.ProviderCode }, claim.RequestId, claim.Language)
            : Answer.Of(201, RefundView.Of(refund));
    }

    /// <summary>A refund whose outcome is open, with the rows that settling it changes.</summary>
    /// <param name="PaymentReference">The provider's id of the payment that is refunded.</param>
    private sealed record Open(Book Book, string RequestId, string PaymentReference, Row<Refund> Refund, Row<OpenWork> Marker, Row<Claim>? Claim, bool Looked = false);
}
