using System.Diagnostics.Metrics;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Harbour.Providers;
using Harbour.Risk;
using Microsoft.Extensions.Logging;

namespace Harbour.Charges;

/// <summary>
/// How a charge is made, from the claim of its idempotency key to its final answer. Two commits with the provider call between
/// them: the first binds the key to the charge and marks it open, the second settles it. Whoever finds an open charge later (a retry
/// or the janitor) settles it through <see cref="ResolveAsync"/>; of several, the first commit wins and the others read again.
/// </summary>
public sealed class ChargeOperations(
    Books books, ChargeStore store, ChargeLedger ledger, MerchantStore merchants, Router router, Idempotency idempotency, Ids ids, TimeProvider time,
    ILogger<ChargeOperations> log)
{
    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("harbour.charges", description: "Charges by the status that they reached");
    private static readonly Counter<long> Reversals = Meter.CreateCounter<long>("harbour.charges.reversed", description: "Payments that landed after they had been given up");

    /// <summary>Makes a charge, or answers what the same key was answered before.</summary>
    public Task<Answer> CreateAsync(Call call, ChargeRequest request) => idempotency.RunAsync(call,
        (key, known) => StartAsync(call, request, key, known),
        async claim => await ResolveAsync(call.Book, Id<Charge>.Parse(claim.Value.Object), call.RequestId) is { } charge
            ? Answering(charge, claim.Value)
            : call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) }));

    /// <summary>Takes a fresh key to its answer. Null when another call claimed the key first.</summary>
    private async Task<Answer?> StartAsync(Call call, ChargeRequest request, string key, Row<Claim>? known)
    {
        if (!call.Merchant.SettlesIn(request.SettlementCurrency))
            return call.Problem(Errors.CurrencyNotSupported.At("settlement_currency", string.Join(", ", call.Merchant.SettlementCurrencies)));

        var id = known is null ? ids.New<Charge>() : Id<Charge>.Parse(known.Value.Object);
        var now = time.GetUtcNow();
        var provider = router.For(request.MethodType);
        var charge = New(call, request, id, provider.Name, now);
        var claim = Idempotency.Claim(call, id.Value, known, now);
        if (charge.Risk.Decision is RiskDecision.Block) return await BlockAsync(call, charge, claim, key, known);

        var open = OpenWork.Begin("charge", id.Value, id.Value, key, now);
        var commit = books.Begin(call.Book, call.RequestId, "charge.create");
        Idempotency.Put(commit, key, known, claim);
        ChargeStore.Insert(commit, charge);
        commit.Insert(OpenWork.Key(open.Object), open);
        if (await commit.SubmitAsync() is not { } committed) return null;

        // From here on the client's going away cancels nothing.
        var work = new Open(
            call.Book, call.RequestId, new Row<Charge>(ChargeStore.Key(id), charge, committed.Tag(ChargeStore.Key(id))),
            new Row<OpenWork>(OpenWork.Key(open.Object), open, committed.Tag(OpenWork.Key(open.Object))), new Row<Claim>(key, claim, committed.Tag(key)));
        var outcome = time.GetUtcNow() < now + OpenWork.SendWindow
            ? await provider.CreateAsync(ToProvider(charge, request, call), CancellationToken.None)
            : new ProviderOutcome.NotAttempted("the send window had passed");
        try
        {
            return outcome is ProviderOutcome.NotAttempted refusal
                ? await WithdrawAsync(call, work, refusal)
                : Answering(await SettleAsync(work, outcome, call.Merchant), claim);
        }
        catch (StorageException e) when (outcome is ProviderOutcome.NotAttempted)
        {
            // Perhaps it is taken back, perhaps it is still there and will turn out to be absent: nobody may be told that it exists.
            log.LogError(e, "Charge {Charge} was not attempted, and whether it was taken back is not known", id);
            return call.Problem(Errors.StorageUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (Exception e)
        {
            // Whatever went wrong, the payment may have been taken: that is no error of the caller's, and it resolves by itself.
            log.LogError(e, "Charge {Charge} was sent, but its outcome could not be written; it resolves later", id);
            return Answer.Of(202, ChargeView.Of(charge));
        }
    }

    /// <summary>Ends a charge that the risk rules block: it exists, failed, and its answer is kept.</summary>
    private async Task<Answer?> BlockAsync(Call call, Charge charge, Claim claim, string key, Row<Claim>? known)
    {
        var blocked = charge with { Status = ChargeStatus.Failed, Failure = new ChargeFailure(Errors.RiskBlocked.Code, null, Errors.RiskBlocked.Text.English) };
        var answer = Answering(blocked, claim);
        var commit = books.Begin(call.Book, call.RequestId, "charge.block");
        Idempotency.Put(commit, key, known, claim.Answered(answer));
        ChargeStore.Insert(commit, blocked);
        commit.Emit(blocked.Event!, ChargeView.Of(blocked));
        return await commit.SubmitAsync() is null ? null : answer;
    }

    /// <summary>Takes back a charge that provably never reached the provider: the row goes, the key keeps its charge id.</summary>
    private async Task<Answer> WithdrawAsync(Call call, Open work, ProviderOutcome.NotAttempted refusal)
    {
        log.LogWarning("Charge {Charge} was not attempted: {Reason}", work.Charge.Value.Id, refusal.Reason);
        var commit = books.Begin(work.Book, work.RequestId, "charge.withdraw");
        ChargeStore.Remove(commit, work.Charge);
        commit.Delete(work.Marker.Key, work.Marker.ETag);
        commit.Replace(work.Claim!.Key, work.Claim.ETag, work.Claim.Value.Release(time.GetUtcNow()));
        if (await commit.SubmitAsync() is null && await store.FindAsync(work.Book, work.Charge.Value.Id) is { } settled)
            return Answering(settled.Value, work.Claim.Value);
        return call.Problem(Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
    }

    /// <summary>
    /// Asks the provider what became of an open charge and settles it, or notes that it was asked. Answers the charge as it is then;
    /// null when there is no such charge.
    /// </summary>
    public async Task<Charge?> ResolveAsync(Book book, Id<Charge> id, string requestId)
    {
        var (charge, marker) = (await store.FindAsync(book, id), await books.ReadAsync<OpenWork>(book, OpenWork.Key(id.Value)));
        if (charge is null || marker is null) return charge?.Value;
        var claim = await books.ReadAsync<Claim>(book, marker.Value.Claim);
        var merchant = await merchants.OfAsync(book);
        var outcome = await router.Named(charge.Value.Provider.Name).FindAsync(
            new ProviderFind(id.Value, book.Mode, charge.Value.Provider.Reference, marker.Value.SentAt, marker.Value.MayHaveLandedUntil(time.GetUtcNow()), requestId), CancellationToken.None);
        return await SettleAsync(new Open(book, requestId, charge, marker, claim, Looked: true), outcome, merchant);
    }

    /// <summary>
    /// Writes what the provider said: the charge, its postings, its event and the kept answer, or the next look. Where another writer
    /// was first and the charge is still open, what the provider said is written over that; where the other settled it, that stands.
    /// </summary>
    private async Task<Charge> SettleAsync(Open work, ProviderOutcome outcome, Merchant merchant)
    {
        var round = 0;
        for (Open? open = work; open is not null && round < Idempotency.MaxRounds; open = await ReopenAsync(open), round++)
        {
            if (open.Marker.Value.Lapsed) return await LookAfterLapseAsync(open, outcome);
            if (await TrySettleAsync(open, outcome, merchant) is { } charge) return charge;
        }

        return (await store.FindAsync(work.Book, work.Charge.Value.Id))?.Value ?? work.Charge.Value;
    }

    private async Task<Charge?> TrySettleAsync(Open work, ProviderOutcome outcome, Merchant merchant)
    {
        var now = time.GetUtcNow();
        var (before, marker) = (work.Charge.Value, work.Marker);
        if (outcome is ProviderOutcome.Known known && known.Payment.Amount != before.Amount)
        {
            log.LogCritical("{Charge} is {Expected} here and {Found} at the provider; it stays open", before.Id, before.Amount, known.Payment.Amount);
            outcome = new ProviderOutcome.Unknown("the provider has another amount");
        }

        var lapsed = outcome is ProviderOutcome.Absent && marker.Value.AbsenceIsFinal(now);
        var after = lapsed ? before.NeverReceived(now) : before.After(Unheard(outcome), now);

        var commit = books.Begin(work.Book, work.RequestId, "charge.settle");
        if (after is not null) after = await ledger.WriteAsync(commit, work.Book, work.Charge, after, merchant);
        var charge = after ?? before;
        if (lapsed) commit.Replace(marker.Key, marker.ETag, marker.Value.Lapse(now));
        else if (charge.IsResolved) commit.Delete(marker.Key, marker.ETag);
        else if (work.Looked && marker.Value.IsDue(now)) commit.Replace(marker.Key, marker.ETag, marker.Value.Looked(now));
        if (work.Claim is { Value.Status: null } claim)
        {
            var answer = Answering(charge, claim.Value);
            commit.Replace(claim.Key, claim.ETag, answer.Status == 202 ? claim.Value with { LeaseUntil = now } : claim.Value.Answered(answer));
        }

        if (await commit.SubmitAsync() is null) return null;
        if (after is not null) Outcomes.Add(1, new("status", after.Status.ToString()), new("provider", after.Provider.Name), new("currency", after.Amount.Currency.Code));
        log.LogInformation("Charge {Charge} is {Status}", charge.Id, charge.Status);
        return charge;
    }

    /// <summary>The rows as they are now; null once another writer has settled the charge for good.</summary>
    private async Task<Open?> ReopenAsync(Open work)
    {
        var charge = await store.FindAsync(work.Book, work.Charge.Value.Id);
        var marker = await books.ReadAsync<OpenWork>(work.Book, work.Marker.Key);
        if (charge is null || marker is null) return null;
        return work with { Charge = charge, Marker = marker, Claim = await books.ReadAsync<Claim>(work.Book, marker.Value.Claim) };
    }

    /// <summary>
    /// The last look at a charge that was given up as never received. If the payment landed after all, it is undone at the provider at
    /// once, and a person is told: the merchant was told that it failed, and keeps nothing of it.
    /// </summary>
    private async Task<Charge> LookAfterLapseAsync(Open work, ProviderOutcome outcome)
    {
        var charge = work.Charge.Value;
        var commit = books.Begin(work.Book, work.RequestId, "charge.reverse");
        if (outcome is ProviderOutcome.Known { Payment.Status: ProviderStatus.Processing }) outcome = new ProviderOutcome.Unknown("the provider has not decided");
        if (outcome is ProviderOutcome.Known { Payment: { Status: ProviderStatus.Succeeded or ProviderStatus.Authorized or ProviderStatus.RequiresAction } landed })
        {
            Reversals.Add(1);
            log.LogCritical("Charge {Charge} was given up but the provider took it as {Reference}; it is reversed", charge.Id, landed.Reference);
            if (!await ReverseAsync(work, landed)) outcome = new ProviderOutcome.Unknown("the reversal is not confirmed");
            else ChargeLedger.PostReversal(commit, charge, landed);
        }

        if (outcome is ProviderOutcome.Unknown or ProviderOutcome.NotAttempted) commit.Replace(work.Marker.Key, work.Marker.ETag, work.Marker.Value.Looked(time.GetUtcNow()));
        else commit.Delete(work.Marker.Key, work.Marker.ETag);
        await commit.SubmitAsync();
        return charge;
    }

    private async Task<bool> ReverseAsync(Open work, ProviderPayment landed)
    {
        var provider = router.Named(work.Charge.Value.Provider.Name);
        var key = work.Charge.Value.Id + "-reversal";
        return landed.Status is ProviderStatus.Succeeded
            ? await provider.RefundAsync(new ProviderRefund(key, work.Book.Mode, landed.Reference, landed.Captured, null, work.RequestId), CancellationToken.None)
                is ProviderOutcome.KnownRefund { Refund.Status: not ProviderRefundStatus.Failed }
            : await provider.CancelAsync(new ProviderCancel(key, work.Book.Mode, landed.Reference, work.RequestId), CancellationToken.None) is ProviderOutcome.Known { Payment.Status: ProviderStatus.Canceled };
    }

    /// <summary>When the provider was asked and could not say, the charge stays as open as it was.</summary>
    private static ProviderOutcome Unheard(ProviderOutcome outcome) =>
        outcome is ProviderOutcome.Absent or ProviderOutcome.NotAttempted ? new ProviderOutcome.Unknown("the provider could not say") : outcome;

    /// <summary>The answer that a charge in its status is given.</summary>
    private static Answer Answering(Charge charge, Claim claim)
    {
        if (!charge.IsResolved) return Answer.Of(202, ChargeView.Of(charge));
        if (charge.Failure is not { } failure) return Answer.Of(201, ChargeView.Of(charge));
        var error = failure.Code == Errors.RiskBlocked.Code ? Errors.RiskBlocked : Errors.Decline(failure.Code);
        return Answer.Problem(error.About("charge", charge.Id.Value) with { DeclineCode = failure.DeclineCode }, claim.RequestId, claim.Language);
    }

    private static Charge New(Call call, ChargeRequest request, Id<Charge> id, string provider, DateTimeOffset now) => new()
    {
        Id = id,
        Mode = call.Mode,
        Status = ChargeStatus.Processing,
        Amount = request.Amount,
        CaptureMethod = request.CaptureMethod,
        Reference = request.Reference,
        Description = request.Description,
        Method = new ChargeMethod(request.MethodType, null),
        Provider = new ChargeProvider(provider, null, "primary"),
        Risk = RiskRules.Assess(request.Amount, request.MethodType),
        Settlement = new Settlement(request.SettlementCurrency, 0, 0, 0, null, null),
        Metadata = request.Metadata,
        RequestId = call.RequestId,
        CreatedAt = id.MadeAt,
        UpdatedAt = now,
    };

    private static ProviderCharge ToProvider(Charge charge, ChargeRequest request, Call call) => new(
        charge.Id.Value, charge.Mode, charge.Amount, request.MethodType, request.Token, request.CaptureMethod is CaptureMethod.Automatic, request.ThreeDSecure,
        call.Book.Merchant, request.Description, request.ReturnUrl, call.RequestId);

    /// <summary>A charge whose outcome is open, with the rows that settling it changes.</summary>
    /// <param name="Looked">True when the outcome came from asking, so that the next look is put off.</param>
    private sealed record Open(Book Book, string RequestId, Row<Charge> Charge, Row<OpenWork> Marker, Row<Claim>? Claim, bool Looked = false);
}
