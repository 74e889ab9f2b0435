using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Harbour.Providers;
using Microsoft.Extensions.Logging;

namespace Harbour.Charges;

/// <summary>
/// Captures and cancellations: changes of a charge that go through the provider. The first commit reserves the change on the charge's
/// row, so of many at once one is sent and the others are told; the second settles it. What ends between the two is found through
/// the change's open marker.
/// </summary>
public sealed class ChargeChanges(
    Books books, ChargeStore store, ChargeLedger ledger, MerchantStore merchants, Router router, Idempotency idempotency, Ids ids, TimeProvider time,
    ILogger<ChargeChanges> log)
{
    public Task<Answer> CaptureAsync(Call call, Id<Charge> id, long? amount, bool final) =>
        RunAsync(call, id, "cap_", (charge, change) => charge.BeginCapture(change, amount, final));

    public Task<Answer> CancelAsync(Call call, Id<Charge> id) => RunAsync(call, id, "can_", (charge, change) => charge.BeginCancel(change));

    private Task<Answer> RunAsync(Call call, Id<Charge> id, string prefix, Func<Charge, string, Result<Charge>> begin) => idempotency.RunAsync(call,
        (key, known) => StartAsync(call, id, key, known, known?.Value.Object ?? prefix + ids.NewKey(), begin),
        async claim => await ResolveAsync(call.Book, claim.Value.Object, id, call.RequestId)
            ?? call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) }));

    private async Task<Answer?> StartAsync(Call call, Id<Charge> id, string key, Row<Claim>? known, string change, Func<Charge, string, Result<Charge>> begin)
    {
        if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.ChargeNotFound);
        if (!begin(row.Value, change).Ok(out var pending, out var refusal)) return call.Problem(refusal);

        var now = time.GetUtcNow();
        var claim = Idempotency.Claim(call, change, known, now);
        var open = OpenWork.Begin(pending.Pending!.Kind, change, id.Value, key, now);
        var commit = books.Begin(call.Book, call.RequestId, "charge." + open.Kind);
        Idempotency.Put(commit, key, known, claim);
        ChargeStore.Replace(commit, row, pending);
        commit.Insert(OpenWork.Key(change), open);
        if (await commit.SubmitAsync() is not { } committed) return null;

        var work = new Open(
            call.Book, call.RequestId, new Row<Charge>(row.Key, pending, committed.Tag(row.Key)),
            new Row<OpenWork>(OpenWork.Key(change), open, committed.Tag(OpenWork.Key(change))), new Row<Claim>(key, claim, committed.Tag(key)));
        var outcome = time.GetUtcNow() < now + OpenWork.SendWindow ? await SendAsync(work) : new ProviderOutcome.NotAttempted("the send window had passed");
        try
        {
            return await SettleAsync(work, outcome, call.Merchant, first: true);
        }
        catch (Exception e)
        {
            log.LogError(e, "{Change} of {Charge} was sent, but its outcome could not be written; it resolves later", change, id);
            return Answer.Of(202, ChargeView.Of(pending));
        }
    }

    private Task<ProviderOutcome> SendAsync(Open work)
    {
        var (charge, pending) = (work.Charge.Value, work.Charge.Value.Pending!);
        var (provider, reference) = (router.Named(charge.Provider.Name), charge.Provider.Reference!);
        return pending.Kind == "capture"
            ? provider.CaptureAsync(new ProviderCapture(pending.Id, charge.Mode, reference, charge.Amount with { Minor = pending.Amount }, pending.Final, work.RequestId), CancellationToken.None)
            : provider.CancelAsync(new ProviderCancel(pending.Id, charge.Mode, reference, work.RequestId), CancellationToken.None);
    }

    /// <summary>Asks the provider how a charge stands, and settles the change that is under way. Null when that is settled already.</summary>
    public async Task<Answer?> ResolveAsync(Book book, string change, Id<Charge> id, string requestId)
    {
        var marker = await books.ReadAsync<OpenWork>(book, OpenWork.Key(change));
        if (marker is null || await store.FindAsync(book, id) is not { } charge) return null;
        if (await marker.Value.ReadClaimAsync(books, book) is not { } claim) throw new InvalidDataException($"The claim of {change} is gone.");
        var merchant = await merchants.OfAsync(book);
        var outcome = await router.Named(charge.Value.Provider.Name).FindAsync(
            new ProviderFind(id.Value, book.Mode, charge.Value.Provider.Reference, marker.Value.SentAt, marker.Value.MayHaveLandedUntil(time.GetUtcNow()), requestId), CancellationToken.None);
        var work = new Open(book, requestId, charge, marker, claim);
        return marker.Value.Lapsed ? await LookAfterLapseAsync(work, outcome, merchant) : await SettleAsync(work, outcome, merchant, first: false);
    }

    /// <summary>Writes what the provider said of the change. Null when another writer was first and has settled it.</summary>
    /// <param name="first">True for the answer to the call itself, where "not attempted" means that nothing was sent.</param>
    private async Task<Answer?> SettleAsync(Open work, ProviderOutcome outcome, Merchant merchant, bool first, int round = 0)
    {
        var now = time.GetUtcNow();
        var (before, marker) = (work.Charge.Value, work.Marker);
        var withdrawn = first && outcome is ProviderOutcome.NotAttempted;
        var after = before.AfterChange(outcome, now);
        var lapsed = after is null && !first && outcome is ProviderOutcome.Known or ProviderOutcome.Absent && marker.Value.AbsenceIsFinal(now);
        if (withdrawn || lapsed) after = before with { Pending = null };

        var commit = books.Begin(work.Book, work.RequestId, "charge." + marker.Value.Kind + ".settle");
        if (after is not null) after = await ledger.WriteAsync(commit, work.Book, work.Charge, after, merchant);
        if (lapsed) commit.Replace(marker.Key, marker.ETag, marker.Value.Lapse(now));
        else if (after is not null) commit.Delete(marker.Key, marker.ETag);
        else if (!first && marker.Value.IsDue(now)) commit.Replace(marker.Key, marker.ETag, marker.Value.Looked(now));

        var answer = Answering(work, before, after, outcome, withdrawn, lapsed);
        if (work.Claim is { Value.Status: null } claim)
            commit.Replace(claim.Key, claim.ETag, withdrawn ? claim.Value.Release(now) : after is null ? claim.Value with { LeaseUntil = now } : claim.Value.Answered(answer));
        if (await commit.SubmitAsync() is null)
            return round < Idempotency.MaxRounds && await ReopenAsync(work) is { } again ? await SettleAsync(again, outcome, merchant, first, round + 1) : await ReadAnswerAsync(work);
        log.LogInformation("{Change} of {Charge} left it {Status}, captured {Captured}", marker.Value.Object, before.Id, (after ?? before).Status, (after ?? before).Captured);
        return answer;
    }

    /// <summary>
    /// The last look at a change that was given up. If the provider carried it out after all, the books follow, because the payer's
    /// money has moved, and a person is told.
    /// </summary>
    private async Task<Answer?> LookAfterLapseAsync(Open work, ProviderOutcome outcome, Merchant merchant)
    {
        var (now, before) = (time.GetUtcNow(), work.Charge.Value);
        var commit = books.Begin(work.Book, work.RequestId, "charge.observe");
        if (before.Pending is null && outcome is ProviderOutcome.Known { Payment: var payment } && Moved(before, payment) && before.Observed(payment, now) is { } after)
        {
            log.LogCritical("{Change} of {Charge} was given up but the provider carried it out; the books follow", work.Marker.Value.Object, before.Id);
            await ledger.WriteAsync(commit, work.Book, work.Charge, after, merchant);
        }

        if (outcome is ProviderOutcome.Unknown or ProviderOutcome.NotAttempted || before.Pending is not null) commit.Replace(work.Marker.Key, work.Marker.ETag, work.Marker.Value.Looked(now));
        else commit.Delete(work.Marker.Key, work.Marker.ETag);
        await commit.SubmitAsync();
        return null;
    }

    /// <summary>True when the provider is further than our books, and our charge can still follow.</summary>
    private static bool Moved(Charge charge, ProviderPayment payment) =>
        payment.Captured.Minor > charge.Captured || (payment.Status is ProviderStatus.Canceled && charge.Status is ChargeStatus.Authorized or ChargeStatus.RequiresAction);

    private static Answer Answering(Open work, Charge before, Charge? after, ProviderOutcome outcome, bool withdrawn, bool lapsed)
    {
        if (withdrawn) return Problem(Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        if (lapsed) return Problem(Errors.NotProcessed);
        if (after is null) return Answer.Of(202, ChargeView.Of(before));
        if (outcome is ProviderOutcome.Refused refused) return Problem(Errors.Decline(refused.Code) with { DeclineCode = refused.DeclineCode });
        // The provider voided the authorisation before the capture reached it.
        if (before.Pending is { Kind: "capture" } && after.Captured == before.Captured) return Problem(Errors.ProviderRefused);
        // The payer completed the payment before the cancellation reached the provider.
        if (before.Pending is { Kind: "cancel" } && after.Captured > before.Captured) return Problem(Errors.InvalidTransition.With("charge", "succeeded", "canceled"));
        return Answer.Of(201, ChargeView.Of(after));

        Answer Problem(Error error) => Answer.Problem(error.About("charge", before.Id.Value), work.Claim.Value.RequestId, work.Claim.Value.Language);
    }

    /// <summary>The rows as they are now, where another writer (a refund) changed the charge but not this change; null once it is settled.</summary>
    private async Task<Open?> ReopenAsync(Open work)
    {
        var charge = await store.FindAsync(work.Book, work.Charge.Value.Id);
        var marker = await books.ReadAsync<OpenWork>(work.Book, work.Marker.Key);
        if (charge is null || marker is null || charge.Value.Pending?.Id != marker.Value.Object) return null;
        return await marker.Value.ReadClaimAsync(books, work.Book) is { } claim ? work with { Charge = charge, Marker = marker, Claim = claim } : null;
    }

    /// <summary>What the key was answered by the writer that was first; while that is not final, the charge as it is.</summary>
    private async Task<Answer?> ReadAnswerAsync(Open work)
    {
        if (await books.ReadAsync<Claim>(work.Book, work.Claim.Key) is { Value: { Status: { } status, Body: { } body } }) return Answer.Kept(status, body);
        return await store.FindAsync(work.Book, work.Charge.Value.Id) is { } row ? Answer.Of(202, ChargeView.Of(row.Value)) : null;
    }

    /// <summary>A change that is under way, with the rows that settling it changes.</summary>
    private sealed record Open(Book Book, string RequestId, Row<Charge> Charge, Row<OpenWork> Marker, Row<Claim> Claim);
}
