using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Webhooks;

/// <summary>What happened, whether it was delivered, and the way to have it sent again.</summary>
public sealed class EventFunctions(WebhookStore store, DeliveryOperations deliveries)
{
    [Function("ListEvents"), Access("webhooks:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/events")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<Event>("cursor"));
        var filter = new EventFilter(query.Text("type", 81), query.Time("created_after"), query.Time("created_before"));
        if (filter.Type is { } type && !EventTypes.IsPattern(type)) query.Refuse(Errors.EventTypeUnknown.At("type", type));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListEventsAsync(call.Book, filter, cursor, limit, call.Aborted);
        return Answer.List(page);
    }

    [Function("GetEvent"), Access("webhooks:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/events/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        return await FindAsync(call, id) is { } @event ? Answer.Ok(@event) : call.Problem(Errors.EventNotFound);
    }

    [Function("ListDeliveries"), Access("webhooks:read")]
    public async Task<IResult> Deliveries([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/events/{id}/deliveries")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<WebhookEndpoint>("cursor"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        if (await FindAsync(call, id) is not { } @event) return call.Problem(Errors.EventNotFound);
        var page = await store.ListDeliveriesAsync(call.Book, @event.Id, cursor, limit, call.Aborted);
        return Answer.List(new Page<DeliveryView>([.. page.Data.Select(DeliveryView.Of)], page.NextCursor));
    }

    [Function("RedeliverEvent"), Access("webhooks:write")]
    public async Task<IResult> Redeliver([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/events/{id}/redeliver")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        var only = fields.Id<WebhookEndpoint>("endpoint", Errors.WebhookEndpointNotFound);
        if (fields.Finish() is { } refusal) return call.Problem(refusal);
        return await FindAsync(call, id) is { } @event ? await deliveries.RedeliverAsync(call, @event, only) : call.Problem(Errors.EventNotFound);
    }

    private async Task<Event?> FindAsync(Call call, string id) =>
        Id<Event>.TryParse(id, out var @event) ? await store.FindEventAsync(call.Book, @event, call.Aborted) : null;
}
