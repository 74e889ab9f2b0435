using Harbour.Access;
using Harbour.Customers;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask.Client;

namespace Harbour.Subscriptions;

/// <summary>Makes, changes and shows subscriptions and their invoices.</summary>
public sealed class SubscriptionFunctions(SubscriptionOperations operations, SubscriptionStore store)
{
    [Function("CreateSubscription"), Access("subscriptions:write", Idempotency = true)]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/subscriptions")] HttpRequest http, [DurableClient] DurableTaskClient durable)
    {
        var call = Call.Of(http);
        if (!SubscriptionRequest.Read(call.Body).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, request, durable);
    }

    [Function("UpdateSubscription"), Access("subscriptions:write", Idempotency = true)]
    public Task<IResult> Update([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/subscriptions/{id}")] HttpRequest http, string id, [DurableClient] DurableTaskClient durable) =>
        ChangeAsync(
            http, id,
            fields => new SubscriptionUpdate(fields.Id<Mandate>("mandate", Errors.MandateNotFound), fields.Text("reference", 128), fields.MaybeMetadata()),
            (call, subscription, update) => operations.UpdateAsync(call, subscription, update, durable));

    [Function("PauseSubscription"), Access("subscriptions:write", Idempotency = true)]
    public Task<IResult> Pause([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/subscriptions/{id}/pause")] HttpRequest http, string id, [DurableClient] DurableTaskClient durable) =>
        ChangeAsync(http, id, _ => false, (call, subscription, _) => operations.PauseAsync(call, subscription, durable));

    [Function("ResumeSubscription"), Access("subscriptions:write", Idempotency = true)]
    public Task<IResult> Resume([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/subscriptions/{id}/resume")] HttpRequest http, string id, [DurableClient] DurableTaskClient durable) =>
        ChangeAsync(http, id, _ => false, (call, subscription, _) => operations.ResumeAsync(call, subscription, durable));

    [Function("CancelSubscription"), Access("subscriptions:write", Idempotency = true)]
    public Task<IResult> Cancel([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/subscriptions/{id}/cancel")] HttpRequest http, string id, [DurableClient] DurableTaskClient durable) =>
        ChangeAsync(http, id, fields => fields.Flag("at_period_end"), (call, subscription, atPeriodEnd) => operations.CancelAsync(call, subscription, atPeriodEnd, durable));

    [Function("GetSubscription"), Access("subscriptions:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/subscriptions/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Subscription>.TryParse(id, out var subscription)) return call.Problem(Errors.SubscriptionNotFound);
        return await store.FindAsync(call.Book, subscription, call.Aborted) is { } row ? Answer.Ok(SubscriptionView.Of(row.Value)) : call.Problem(Errors.SubscriptionNotFound);
    }

    [Function("ListSubscriptions"), Access("subscriptions:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/subscriptions")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<Subscription>("cursor"));
        var filter = new SubscriptionFilter(
            query.Id<Customer>("customer")?.Value, query.Text("reference", 128), query.OneOf<SubscriptionStatus>("status"), query.Time("created_after"), query.Time("created_before"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListAsync(call.Book, filter, cursor, limit, call.Aborted);
        return Answer.List(new Page<SubscriptionView>([.. page.Data.Select(SubscriptionView.Of)], page.NextCursor));
    }

    [Function("ListInvoices"), Access("subscriptions:read")]
    public async Task<IResult> Invoices([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/subscriptions/{id}/invoices")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Subscription>.TryParse(id, out var subscription) || await store.FindAsync(call.Book, subscription, call.Aborted) is null) return call.Problem(Errors.SubscriptionNotFound);
        var query = new QueryFields(http.Query);
        var (limit, cursor, status) = (query.Limit(), query.Id<Invoice>("cursor"), query.OneOf<InvoiceStatus>("status"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListInvoicesAsync(call.Book, subscription, status, cursor, limit, call.Aborted);
        return Answer.List(new Page<InvoiceView>([.. page.Data.Select(InvoiceView.Of)], page.NextCursor));
    }

    private static async Task<IResult> ChangeAsync<T>(HttpRequest http, string id, Func<Fields, T> read, Func<Call, Id<Subscription>, T, Task<Answer>> change)
    {
        var call = Call.Of(http);
        if (!Id<Subscription>.TryParse(id, out var subscription)) return call.Problem(Errors.SubscriptionNotFound);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        var wanted = read(fields);
        return fields.Finish() is { } refusal ? call.Problem(refusal) : await change(call, subscription, wanted);
    }
}
