using System.Diagnostics.Metrics;
using Harbour.Access;
using Harbour.Customers;
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
    Books books, ChargeStore store, ChargeLedger ledger, MerchantStore merchants, CustomerOperations customers, MandateOperations mandates, Router router,
    Idempotency idempotency, ActivityMarkers activity, TimeProvider time, ILogger<ChargeOperations> log)
{
    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("harbour.charges", description: "Charges by the status that they reached");
    private static readonly Counter<long> Reversals = Meter.CreateCounter<long>("harbour.charges.reversed", description: "Payments that landed after they had been given up");

    /// <summary>
    /// Makes a charge, or answers what the same key was answered before. Who pays is read beside the key, in the request's first round,
    /// and anew when work starts over.
    /// </summary>
    public Task<Answer> CreateAsync(Call call, ChargeRequest request)
    {
        Task<ChargePayer>? first = ReadPayerAsync(call.Book, request);
        return idempotency.RunAsync(call,
            async (key, known) =>
            {
                var reading = first ?? ReadPayerAsync(call.Book, request);
                first = null;
                return await StartAsync(call, request, await reading, key, known);
            },
            async claim => await ResolveAsync(call.Book, Id<Charge>.Parse(claim.Value.Object), call.RequestId) is { } charge
                ? Answering(charge, claim.Value)
                : call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) }));
    }

    /// <summary>Takes a fresh key to its answer. Null when another call claimed the key first.</summary>
    private async Task<Answer?> StartAsync(Call call, ChargeRequest request, ChargePayer payer, string key, Row<Claim>? known)
    {
        if (!call.Merchant.SettlesIn(request.SettlementCurrency))
            return call.Problem(Errors.CurrencyNotSupported.At("settlement_currency", string.Join(", ", call.Merchant.SettlementCurrencies)));
        if (payer.Refusal(request) is { } refusal) return call.Problem(refusal);
        string? storeFor = null;
        if (request.SetupMandate && !(await customers.AtProviderAsync(call.Book, payer.Customer!, router.For(request.MethodType!).Name, call.RequestId)).Ok(out storeFor, out var unmade))
            return call.Problem(unmade);

        var charge = New(call.Book, request, payer, idempotency.IdFor<Charge>(known), call.RequestId, time.GetUtcNow());
        var claim = Idempotency.Claim(call, charge.Id.Value, known, charge.UpdatedAt);
        if (charge.Risk.Decision is RiskDecision.Block) return await BlockAsync(call, charge, claim, key, known);

        var commit = books.Begin(call.Book, call.RequestId, "charge.create");
        Idempotency.Put(commit, key, known, claim);
        if (await BeginAsync(commit, call.Book, call.RequestId, charge, payer, key, claim) is not { } work) return null;

        // From here on the client's going away cancels nothing.
        var outcome = await SendAsync(work, ToProvider(charge, request, payer, storeFor, call.Book, call.RequestId));
        try
        {
            if (outcome is not ProviderOutcome.NotAttempted unsent) return Answering(await SettleAsync(work, outcome, call.Merchant), claim);
            return await WithdrawAsync(work, unsent) is { } settled ? Answering(settled, claim) : call.Problem(Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (StorageException e) when (outcome is ProviderOutcome.NotAttempted)
        {
            // Perhaps it is taken back, perhaps it is still there and will turn out to be absent: nobody may be told that it exists.
            log.LogError(e, "Charge {Charge} was not attempted, and whether it was taken back is not known", charge.Id);
            return call.Problem(Errors.StorageUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (Exception e)
        {
            // Whatever went wrong, the payment may have been taken: that is no error of the caller's, and it resolves by itself.
            log.LogError(e, "Charge {Charge} was sent, but its outcome could not be written; it resolves later", charge.Id);
            return Answer.Of(202, ChargeView.Of(charge));
        }
    }

    /// <summary>
    /// Takes a payment on a mandate without a caller and without an idempotency key: the id, chosen beforehand, stands for both. The
    /// first commit holds the charge, its open marker and what <paramref name="also"/> adds: all of it is there or nothing. Answers the
    /// charge as it then is; one that is not resolved is asked about through <see cref="ResolveAsync"/>, by whoever waits or by the
    /// janitor. A charge that is there already under this id is answered as it is, and never taken again.
    /// </summary>
    /// <param name="also">Called for each try of the first commit, before it is submitted.</param>
    /// <returns>
    /// Null when there is no charge: the first commit met another writer of a row that <paramref name="also"/> changes, the mandate is
    /// not active any more, or the provider provably was not reached. In the last case what <paramref name="also"/> wrote is there.
    /// </returns>
    /// <exception cref="StorageException">Whether there is a charge is not known; the same call again finds out.</exception>
    public async Task<Charge?> TakeAsync(Book book, Id<Charge> id, MandateCharge order, string requestId, Action<Commit> also)
    {
        await activity.MarkAsync(book);
        var merchant = await merchants.OfAsync(book);
        var request = ChargeRequest.Of(order);
        for (var round = 0; round < Idempotency.MaxRounds; round++)
        {
            if (await mandates.FindAsync(book, order.Mandate.Id) is not { Value.IsActive: true } mandate) break;
            var payer = new ChargePayer(null, mandate);
            var charge = New(book, request, payer, id, requestId, time.GetUtcNow());
            var commit = books.Begin(book, requestId, "charge.take");
            also(commit);
            if (charge.Risk.Decision is RiskDecision.Block)
            {
                var blocked = PutBlocked(commit, charge);
                if (await commit.SubmitAsync() is not null) return blocked;
            }
            else if (await BeginAsync(commit, book, requestId, charge, payer, null, null) is { } work)
            {
                return await EndAsync(work, await SendAsync(work, ToProvider(charge, request, payer, null, book, requestId)), merchant);
            }

            // Another charge on the same mandate at the same moment is no reason to give up; a writer of the other rows is.
            if (await store.FindAsync(book, id) is { } there) return there.Value;
            if ((await mandates.FindAsync(book, order.Mandate.Id))?.ETag == mandate.ETag) return null;
        }

        return (await store.FindAsync(book, id))?.Value;
    }

    /// <summary>Settles a payment that nobody waits for. Where that cannot be written, the charge stays open and resolves later.</summary>
    private async Task<Charge?> EndAsync(Open work, ProviderOutcome outcome, Merchant merchant)
    {
        try
        {
            return outcome is ProviderOutcome.NotAttempted unsent ? await WithdrawAsync(work, unsent) : await SettleAsync(work, outcome, merchant);
        }
        catch (Exception e)
        {
            log.LogError(e, "What became of charge {Charge} could not be written; it resolves later", work.Charge.Value.Id);
            return work.Charge.Value;
        }
    }

    private async Task<ChargePayer> ReadPayerAsync(Book book, ChargeRequest request)
    {
        var customer = request.Customer is { } named ? customers.FindAsync(book, named) : Task.FromResult<Row<Customer>?>(null);
        var mandate = request.Mandate is { } charged ? mandates.FindAsync(book, charged) : Task.FromResult<Row<Mandate>?>(null);
        await Task.WhenAll(customer, mandate);
        return new ChargePayer(await customer, await mandate);
    }

    /// <summary>Submits the first commit: the charge and its open marker. Null when another writer was first.</summary>
    private static async Task<Open?> BeginAsync(Commit commit, Book book, string requestId, Charge charge, ChargePayer payer, string? key, Claim? claim)
    {
        var open = OpenWork.Begin("charge", charge.Id.Value, charge.Id.Value, key, charge.UpdatedAt);
        ChargeStore.Insert(commit, charge);
        commit.Insert(OpenWork.Key(open.Object), open);
        if (payer.Mandate is { } mandate) MandateOperations.Hold(commit, mandate);
        if (await commit.SubmitAsync() is not { } committed) return null;
        return new Open(
            book, requestId, new Row<Charge>(ChargeStore.Key(charge.Id), charge, committed.Tag(ChargeStore.Key(charge.Id))),
            new Row<OpenWork>(OpenWork.Key(open.Object), open, committed.Tag(OpenWork.Key(open.Object))),
            claim is null ? null : new Row<Claim>(key!, claim, committed.Tag(key!)));
    }

    private async Task<ProviderOutcome> SendAsync(Open work, ProviderCharge order) =>
        time.GetUtcNow() < work.Marker.Value.SentAt + OpenWork.SendWindow
            ? await router.Named(work.Charge.Value.Provider.Name).CreateAsync(order, CancellationToken.None)
            : new ProviderOutcome.NotAttempted("the send window had passed");

    /// <summary>Ends a charge that the risk rules block: it exists, failed, and its answer is kept.</summary>
    private async Task<Answer?> BlockAsync(Call call, Charge charge, Claim claim, string key, Row<Claim>? known)
    {
        var commit = books.Begin(call.Book, call.RequestId, "charge.block");
        var answer = Answering(PutBlocked(commit, charge), claim);
        Idempotency.Put(commit, key, known, claim.Answered(answer));
        return await commit.SubmitAsync() is null ? null : answer;
    }

    private static Charge PutBlocked(Commit commit, Charge charge)
    {
        var blocked = charge with { Status = ChargeStatus.Failed, Failure = new ChargeFailure(Errors.RiskBlocked.Code, null, Errors.RiskBlocked.Text.English) };
        ChargeStore.Insert(commit, blocked);
        commit.Emit(blocked.Event!, ChargeView.Of(blocked));
        return blocked;
    }

    /// <summary>
    /// Takes back a charge that provably never reached the provider: the row goes, the key keeps its charge id. Answers the charge if
    /// another writer was first.
    /// </summary>
    private async Task<Charge?> WithdrawAsync(Open work, ProviderOutcome.NotAttempted refusal)
    {
        log.LogWarning("Charge {Charge} was not attempted: {Reason}", work.Charge.Value.Id, refusal.Reason);
        var commit = books.Begin(work.Book, work.RequestId, "charge.withdraw");
        ChargeStore.Remove(commit, work.Charge);
        commit.Delete(work.Marker.Key, work.Marker.ETag);
        if (work.Claim is { } claim) commit.Replace(claim.Key, claim.ETag, claim.Value.Release(time.GetUtcNow()));
        return await commit.SubmitAsync() is null ? (await store.FindAsync(work.Book, work.Charge.Value.Id))?.Value : null;
    }

    /// <summary>
    /// Asks the provider what became of an open charge and settles it, or notes that it was asked. Answers the charge as it is then;
    /// null when there is no such charge.
    /// </summary>
    public async Task<Charge?> ResolveAsync(Book book, Id<Charge> id, string requestId)
    {
        var (charge, marker) = (await store.FindAsync(book, id), await books.ReadAsync<OpenWork>(book, OpenWork.Key(id.Value)));
        if (charge is null || marker is null) return charge?.Value;
        var claim = await marker.Value.ReadClaimAsync(books, book);
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
        return work with { Charge = charge, Marker = marker, Claim = await marker.Value.ReadClaimAsync(books, work.Book) };
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

    private Charge New(Book book, ChargeRequest request, ChargePayer payer, Id<Charge> id, string requestId, DateTimeOffset now)
    {
        var mandate = payer.Mandate?.Value;
        var method = mandate?.Method.Type ?? request.MethodType!;
        return new Charge
        {
            Id = id,
            Mode = book.Mode,
            Status = ChargeStatus.Processing,
            Amount = request.Amount,
            CaptureMethod = request.CaptureMethod,
            Reference = request.Reference,
            Description = request.Description,
            Customer = mandate?.Customer ?? request.Customer,
            Mandate = mandate?.Id,
            SetupMandate = request.SetupMandate,
            Method = new ChargeMethod(method, mandate?.Method.Card),
            Provider = new ChargeProvider(mandate?.Provider ?? router.For(method).Name, null, "primary"),
            Risk = RiskRules.Assess(request.Amount, method),
            Settlement = new Settlement(request.SettlementCurrency, 0, 0, 0, null, null),
            Metadata = request.Metadata,
            RequestId = requestId,
            CreatedAt = id.MadeAt,
            UpdatedAt = now,
        };
    }

    /// <param name="storeFor">The provider's customer for whom the payment method is stored.</param>
    private static ProviderCharge ToProvider(Charge charge, ChargeRequest request, ChargePayer payer, string? storeFor, Book book, string requestId)
    {
        var stored = payer.Mandate?.Value.Stored;
        return new ProviderCharge(
            charge.Id.Value, charge.Mode, charge.Amount, charge.Method.Type, stored?.Method ?? request.Token!, request.CaptureMethod is CaptureMethod.Automatic, request.ThreeDSecure,
            book.Merchant, request.Description, request.ReturnUrl, requestId)
        {
            StoreFor = storeFor,
            Stored = stored,
        };
    }

    /// <summary>A charge whose outcome is open, with the rows that settling it changes.</summary>
    /// <param name="Looked">True when the outcome came from asking, so that the next look is put off.</param>
    private sealed record Open(Book Book, string RequestId, Row<Charge> Charge, Row<OpenWork> Marker, Row<Claim>? Claim, bool Looked = false);
}
