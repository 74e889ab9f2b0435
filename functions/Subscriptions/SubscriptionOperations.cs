using Harbour.Access;
using Harbour.Customers;
using Harbour.Foundation;
using Microsoft.DurableTask.Client;

namespace Harbour.Subscriptions;

/// <summary>
/// How subscriptions are made and changed. The first commit binds the idempotency key and makes the change; then the orchestration is
/// woken; then the key keeps its answer. A call that ends in between is taken up by its retry, and failing that by the daily watch.
/// </summary>
public sealed class SubscriptionOperations(
    Books books, SubscriptionStore store, RenewalOperations renewals, CustomerOperations customers, MandateOperations mandates, Idempotency idempotency,
    Ids ids, TimeProvider time)
{
    /// <summary>Makes a subscription. Its first period, unless it begins later, is charged before the answer.</summary>
    public Task<Answer> CreateAsync(Call call, SubscriptionRequest request, DurableTaskClient durable) => idempotency.RunAsync(call,
        async (key, known) =>
        {
            if (!call.Merchant.SettlesIn(request.Amount.Currency)) return call.Problem(Errors.CurrencyNotSupported.At("currency", string.Join(", ", call.Merchant.SettlementCurrencies)));
            if (await CheckAsync(call, request.Mandate, request.Customer) is { } refusal) return call.Problem(refusal);

            await store.AnnounceAsync(call.Book);
            var id = known is null ? ids.New<Subscription>() : Id<Subscription>.Parse(known.Value.Object);
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
            return await commit.SubmitAsync() is { } committed ? await FinishCreationAsync(call, new Row<Claim>(key, claim, committed.Tag(key)), durable) : null;
        },
        claim => FinishCreationAsync(call, claim, durable));

    public Task<Answer> PauseAsync(Call call, Id<Subscription> id, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "pause", (subscription, _, now) => subscription.Pause(now));

    public Task<Answer> ResumeAsync(Call call, Id<Subscription> id, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "resume", (subscription, invoice, now) => subscription.Resume(invoice, now));

    public Task<Answer> CancelAsync(Call call, Id<Subscription> id, bool atPeriodEnd, DurableTaskClient durable) =>
        ChangeAsync(call, id, durable, "cancel", (subscription, _, now) => subscription.Cancel(atPeriodEnd, now));

    /// <summary>Changes the mandate or the labels; what is null stays.</summary>
    public async Task<Answer> UpdateAsync(Call call, Id<Subscription> id, SubscriptionUpdate update, DurableTaskClient durable)
    {
        if (update.Mandate is { } mandate)
        {
            if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.SubscriptionNotFound);
            if (await CheckAsync(call, mandate, row.Value.Customer) is { } refusal) return call.Problem(refusal);
        }

        return await ChangeAsync(call, id, durable, "update", (subscription, _, now) => subscription.Update(update.Mandate, update.Reference, update.Metadata, now));
    }

    private Task<Answer> ChangeAsync(
        Call call, Id<Subscription> id, DurableTaskClient durable, string operation, Func<Subscription, Invoice?, DateTimeOffset, Result<Subscription>> change) => idempotency.RunAsync(call,
        async (key, known) =>
        {
            if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.SubscriptionNotFound);
            var now = time.GetUtcNow();
            var invoice = await store.LatestInvoiceAsync(call.Book, row.Value);
            if (!change(row.Value, invoice?.Value, now).Ok(out var after, out var refusal)) return call.Problem(refusal);

            var claim = Idempotency.Claim(call, id.Value, known, now);
            var commit = books.Begin(call.Book, call.RequestId, "subscription." + operation);
            Idempotency.Put(commit, key, known, claim);
            RenewalOperations.Change(commit, row, after);
            // What is cancelled is owed no more; an attempt that is under way is settled first.
            if (after.Status is SubscriptionStatus.Canceled && invoice is { Value: { Status: InvoiceStatus.Open, UnderWay: null } })
                SubscriptionStore.Replace(commit, invoice, invoice.Value.Voided(now));
            return await commit.SubmitAsync() is { } committed ? await FinishAsync(call, new Row<Claim>(key, claim, committed.Tag(key)), 200, durable) : null;
        },
        claim => FinishAsync(call, claim, 200, durable));

    private async Task<Answer> FinishCreationAsync(Call call, Row<Claim> claim, DurableTaskClient durable)
    {
        var id = Id<Subscription>.Parse(claim.Value.Object);
        // The orchestration is there before anything is charged, and comes when this call is over, however it ends.
        await RenewalFlow.WakeAsync(durable, call.Book, id, time.GetUtcNow() + OpenWork.Lease);
        await renewals.AdvanceAsync(call.Book, id, call.RequestId);
        return await AnswerAsync(call, claim, 201);
    }

    private async Task<Answer> FinishAsync(Call call, Row<Claim> claim, int status, DurableTaskClient durable)
    {
        await RenewalFlow.WakeAsync(durable, call.Book, Id<Subscription>.Parse(claim.Value.Object));
        return await AnswerAsync(call, claim, status);
    }

    /// <summary>Keeps the answer for the key. Whoever kept one first is right.</summary>
    private async Task<Answer> AnswerAsync(Call call, Row<Claim> claim, int status)
    {
        var subscription = await store.FindAsync(call.Book, Id<Subscription>.Parse(claim.Value.Object)) ?? throw new InvalidDataException($"{claim.Value.Object} is gone.");
        var answer = Answer.Of(status, SubscriptionView.Of(subscription.Value));
        var commit = books.Begin(call.Book, call.RequestId, "subscription.answer");
        commit.Replace(claim.Key, claim.ETag, claim.Value.Answered(answer));
        if (await commit.SubmitAsync() is not null) return answer;
        return await books.ReadAsync<Claim>(call.Book, claim.Key) is { Value: { Status: { } kept, Body: { } body } } ? Answer.Kept(kept, body) : answer;
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
