using Harbour.Access;
using Harbour.Customers;
using Harbour.Foundation;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.Logging;

namespace Harbour.Subscriptions;

/// <summary>
/// How subscriptions are made and changed. A change is one commit, together with the answer that its idempotency key keeps; making one
/// charges the first period as well. What follows a commit (waking the orchestration, the first charge) cannot take it back, so it
/// fails no call: the orchestration, and at the latest the daily watch, do what is missing.
/// </summary>
public sealed class SubscriptionOperations(
    Books books, SubscriptionStore store, RenewalOperations renewals, CustomerOperations customers, MandateOperations mandates, Idempotency idempotency, Ids ids, TimeProvider time,
    ILogger<SubscriptionOperations> log)
{
    /// <summary>Makes a subscription. Its first period, unless it begins later, is charged before the answer.</summary>
    public Task<Answer> CreateAsync(Call call, SubscriptionRequest request, DurableTaskClient durable) => idempotency.RunAsync(call,
        async (key, known) =>
        {
            if (!call.Merchant.SettlesIn(request.Amount.Currency)) return call.Problem(Errors.CurrencyNotSupported.At("currency", string.Join(", ", call.Merchant.SettlementCurrencies)));
            if (request.RefusalAt(time.GetUtcNow()) is { } tooEarly) return call.Problem(tooEarly);
            if (await CheckAsync(call, request.Mandate, request.Customer) is { } refusal) return call.Problem(refusal);

            await store.AnnounceAsync(call.Book);
            var id = idempotency.IdFor<Subscription>(known);
            // After the id, which says when the first period begins: it is not to lie ahead.
            var now = time.GetUtcNow();
            var subscription = Subscription.Create(id, call.Mode, request, call.RequestId, now);
            var claim = Idempotency.Claim(call, id.Value, known, now);
            var commit = books.Begin(call.Book, call.RequestId, "subscription.create");
            if (subscription.PeriodEnd <= now)
            {
                (subscription, var invoice) = RenewalOperations.Begin(subscription, ids.New<Invoice>(), call.RequestId, now);
                subscription = subscription with { Version = 1 };
                SubscriptionStore.Insert(commit, invoice);
            }

            SubscriptionStore.Insert(commit, subscription);
            commit.Emit("subscription.created", SubscriptionView.Of(subscription));
            Idempotency.Put(commit, key, known, claim);
            return await commit.SubmitAsync() is { } committed ? await FinishAsync(call, new Row<Claim>(key, claim, committed.Tag(key)), subscription, durable) : null;
        },
        async claim => await store.FindAsync(call.Book, Id<Subscription>.Parse(claim.Value.Object)) is { } row
            ? await FinishAsync(call, claim, row.Value, durable)
            : throw new InvalidDataException($"{claim.Value.Object} is gone."));

    public Task<Answer> PauseAsync(Call call, Id<Subscription> id, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "pause", (subscription, _, now) => subscription.Pause(now));

    public Task<Answer> ResumeAsync(Call call, Id<Subscription> id, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "resume", (subscription, invoice, now) => subscription.Resume(invoice, now));

    public Task<Answer> CancelAsync(Call call, Id<Subscription> id, bool atPeriodEnd, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "cancel", (subscription, _, now) => subscription.Cancel(atPeriodEnd, now));

    /// <summary>Changes the mandate or the labels; what is null stays.</summary>
    public Task<Answer> UpdateAsync(Call call, Id<Subscription> id, SubscriptionUpdate update, DurableTaskClient durable) => ChangeAsync(
        call, id, durable, "update",
        (subscription, _, now) => subscription.Update(update.Mandate, update.Reference, update.Metadata, now),
        async subscription => update.Mandate is { } mandate ? await CheckAsync(call, mandate, subscription.Customer) : null);

    private async Task<Answer> ChangeAsync(
        Call call, Id<Subscription> id, DurableTaskClient durable, string operation, Func<Subscription, Invoice?, DateTimeOffset, Result<Subscription>> change,
        Func<Subscription, Task<Error?>>? check = null)
    {
        var answer = await idempotency.RunWholeAsync(call, async keep =>
        {
            if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.SubscriptionNotFound);
            if (check is not null && await check(row.Value) is { } unmet) return call.Problem(unmet);
            var (now, invoice) = (time.GetUtcNow(), await store.LatestInvoiceAsync(call.Book, row.Value));
            if (!change(row.Value, invoice?.Value, now).Ok(out var after, out var refusal)) return call.Problem(refusal);

            var answer = Answer.Ok(SubscriptionView.Of(after));
            var commit = books.Begin(call.Book, call.RequestId, "subscription." + operation);
            keep(commit, id.Value, answer);
            if (!ReferenceEquals(after, row.Value)) RenewalOperations.Change(commit, row, after);
            // Of what is cancelled or begins anew nothing old is owed; an attempt that is under way is settled first.
            if (after.Forgives(row.Value) && invoice is { Value: { Status: InvoiceStatus.Open, UnderWay: null } }) SubscriptionStore.Replace(commit, invoice, invoice.Value.Voided(now));
            return await commit.SubmitAsync() is null ? null : answer;
        });
        if (answer is { Status: 200, Replayed: false }) await TryAsync(id, () => RenewalFlow.WakeAsync(durable, call.Book, id));
        return answer;
    }

    /// <summary>What follows the making of a subscription, and then the answer that the key keeps. Whoever kept one first is right.</summary>
    private async Task<Answer> FinishAsync(Call call, Row<Claim> claim, Subscription made, DurableTaskClient durable)
    {
        // The orchestration is there before anything is charged, and begins when this call must be over, however it ends.
        await TryAsync(made.Id, () => RenewalFlow.WakeAsync(durable, call.Book, made.Id, time.GetUtcNow() + OpenWork.Lease));
        await TryAsync(made.Id, () => renewals.AdvanceAsync(call.Book, made.Id, call.RequestId));
        var answer = Answer.Of(201, SubscriptionView.Of(made));
        await TryAsync(made.Id, async () =>
        {
            if (await store.FindAsync(call.Book, made.Id) is { } row) answer = Answer.Of(201, SubscriptionView.Of(row.Value));
            var commit = books.Begin(call.Book, call.RequestId, "subscription.answer");
            commit.Replace(claim.Key, claim.ETag, claim.Value.Answered(answer));
            if (await commit.SubmitAsync() is null && await books.ReadAsync<Claim>(call.Book, claim.Key) is { Value: { Status: { } kept, Body: { } body } }) answer = Answer.Kept(kept, body);
        });
        return answer;
    }

    /// <summary>Does what follows a commit that holds whatever comes of this.</summary>
    private async Task TryAsync(Id<Subscription> id, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception e)
        {
            log.LogError(e, "What follows the change of {Subscription} could not be done in its request; its orchestration or the daily watch will", id);
        }
    }

    /// <summary>A mandate that can be charged, and is this customer's.</summary>
    private async Task<Error?> CheckAsync(Call call, Id<Mandate> mandate, Id<Customer> customer)
    {
        var (owner, authorisation) = (customers.FindAsync(call.Book, customer), mandates.FindAsync(call.Book, mandate));
        if (await owner is null) return Errors.CustomerNotFound with { Param = "customer" };
        if (await authorisation is not { } found || found.Value.Customer != customer) return Errors.MandateNotFound with { Param = "mandate" };
        return found.Value.Refusal() is { } refusal ? refusal with { Param = "mandate" } : null;
    }
}

/// <summary>What a caller wants changed of a subscription; null stays.</summary>
public sealed record SubscriptionUpdate(Id<Mandate>? Mandate, string? Reference, IReadOnlyDictionary<string, string>? Metadata);
