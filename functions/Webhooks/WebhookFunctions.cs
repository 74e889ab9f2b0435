using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Webhooks;

/// <summary>The endpoints that a merchant's events are sent to.</summary>
public sealed class WebhookFunctions(WebhookOperations operations, WebhookStore store, TargetGuard guard, TimeProvider time)
{
    private const int DefaultOverlap = 24 * 60 * 60, LongestOverlap = 7 * DefaultOverlap;

    [Function("CreateWebhookEndpoint"), Access("webhooks:write")]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/webhook_endpoints")] HttpRequest http)
    {
        var call = Call.Of(http);
        if (!EndpointRequest.Read(call.Body, guard, call.Mode, making: true).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, request);
    }

    [Function("ListWebhookEndpoints"), Access("webhooks:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/webhook_endpoints")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<WebhookEndpoint>("cursor"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListEndpointsAsync(call.Book, cursor, limit, call.Aborted);
        return Answer.List(new Page<WebhookEndpointView>([.. page.Data.Select(endpoint => WebhookEndpointView.Of(endpoint, time.GetUtcNow()))], page.NextCursor));
    }

    [Function("GetWebhookEndpoint"), Access("webhooks:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/webhook_endpoints/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<WebhookEndpoint>.TryParse(id, out var endpoint)) return call.Problem(Errors.WebhookEndpointNotFound);
        return await store.FindEndpointAsync(call.Book, endpoint, call.Aborted) is { } row ? Answer.Ok(WebhookEndpointView.Of(row.Value, time.GetUtcNow())) : call.Problem(Errors.WebhookEndpointNotFound);
    }

    [Function("ChangeWebhookEndpoint"), Access("webhooks:write")]
    public async Task<IResult> Change([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/webhook_endpoints/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<WebhookEndpoint>.TryParse(id, out var endpoint)) return call.Problem(Errors.WebhookEndpointNotFound);
        if (!EndpointRequest.Read(call.Body, guard, call.Mode, making: false).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.ChangeAsync(call, endpoint, request);
    }

    [Function("RotateWebhookSecret"), Access("webhooks:write")]
    public async Task<IResult> Rotate([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/webhook_endpoints/{id}/rotate_secret")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<WebhookEndpoint>.TryParse(id, out var endpoint)) return call.Problem(Errors.WebhookEndpointNotFound);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        var overlap = fields.Whole("expires_in", 0, LongestOverlap) ?? DefaultOverlap;
        if (fields.Finish() is { } refusal) return call.Problem(refusal);
        return await operations.RotateAsync(call, endpoint, TimeSpan.FromSeconds(overlap));
    }

    [Function("DeleteWebhookEndpoint"), Access("webhooks:write")]
    public async Task<IResult> Delete([HttpTrigger(AuthorizationLevel.Anonymous, "delete", Route = "v1/webhook_endpoints/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        return Id<WebhookEndpoint>.TryParse(id, out var endpoint) ? await operations.DeleteAsync(call, endpoint) : call.Problem(Errors.WebhookEndpointNotFound);
    }
}
