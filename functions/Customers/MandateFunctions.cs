using Harbour.Access;
using Harbour.Foundation;
using Harbour.Providers;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Customers;

/// <summary>Stores customers' authorisations, shows and revokes them.</summary>
public sealed class MandateFunctions(MandateOperations operations, MandateStore store, CustomerStore customers)
{
    [Function("CreateMandate"), Access("customers:write")]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/customers/{id}/mandates")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Customer>.TryParse(id, out var customer)) return call.Problem(Errors.CustomerNotFound);
        if (!MandateRequest.Read(call.Body, Router.Stored).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, customer, request);
    }

    [Function("ListMandates"), Access("customers:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/customers/{id}/mandates")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Customer>.TryParse(id, out var customer)) return call.Problem(Errors.CustomerNotFound);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<Mandate>("cursor"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        if (await customers.FindAsync(call.Book, customer, call.Aborted) is null) return call.Problem(Errors.CustomerNotFound);
        var page = await store.ListAsync(call.Book, customer, cursor, limit, call.Aborted);
        return Answer.List(new Page<MandateView>([.. page.Data.Select(MandateView.Of)], page.NextCursor));
    }

    [Function("GetMandate"), Access("customers:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/mandates/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Mandate>.TryParse(id, out var mandate)) return call.Problem(Errors.MandateNotFound);
        return await store.FindAsync(call.Book, mandate, call.Aborted) is { } row ? Answer.Ok(MandateView.Of(row.Value)) : call.Problem(Errors.MandateNotFound);
    }

    [Function("RevokeMandate"), Access("customers:write")]
    public async Task<IResult> Revoke([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/mandates/{id}/revoke")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Mandate>.TryParse(id, out var mandate)) return call.Problem(Errors.MandateNotFound);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        if (fields.Finish() is { } refusal) return call.Problem(refusal);
        return await operations.RevokeAsync(call, mandate);
    }
}
