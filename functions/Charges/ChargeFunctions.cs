using Harbour.Access;
using Harbour.Foundation;
using Harbour.Providers;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Charges;

/// <summary>Takes payments, and shows them.</summary>
public sealed class ChargeFunctions(ChargeOperations operations, ChargeChanges changes, ChargeStore store)
{
    [Function("CreateCharge"), Access("charges:write", Idempotency = true)]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/charges")] HttpRequest http)
    {
        var call = Call.Of(http);
        if (!ChargeRequest.Read(call.Body, Router.Methods).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, request);
    }

    [Function("CaptureCharge"), Access("charges:write", Idempotency = true)]
    public async Task<IResult> Capture([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/charges/{id}/capture")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Charge>.TryParse(id, out var charge)) return call.Problem(Errors.ChargeNotFound);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        var (amount, final) = (fields.Amount("amount"), fields.MaybeFlag("final"));
        if (fields.Finish() is { } refusal) return call.Problem(refusal);
        return await changes.CaptureAsync(call, charge, amount, final ?? true);
    }

    [Function("CancelCharge"), Access("charges:write", Idempotency = true)]
    public async Task<IResult> Cancel([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/charges/{id}/cancel")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Charge>.TryParse(id, out var charge)) return call.Problem(Errors.ChargeNotFound);
        if (!Fields.Parse(call.Body).Ok(out var fields, out var malformed)) return call.Problem(malformed);
        if (fields.Finish() is { } refusal) return call.Problem(refusal);
        return await changes.CancelAsync(call, charge);
    }

    [Function("GetCharge"), Access("charges:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/charges/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Charge>.TryParse(id, out var charge)) return call.Problem(Errors.ChargeNotFound);
        return await store.FindAsync(call.Book, charge, http.HttpContext.RequestAborted) is { } row ? Answer.Ok(ChargeView.Of(row.Value)) : call.Problem(Errors.ChargeNotFound);
    }

    [Function("ListCharges"), Access("charges:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/charges")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<Charge>("cursor"));
        var filter = new ChargeFilter(query.Text("reference", 128), query.Text("customer", 64), query.OneOf<ChargeStatus>("status"), query.Time("created_after"), query.Time("created_before"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListAsync(call.Book, filter, cursor, limit, http.HttpContext.RequestAborted);
        return Answer.List(new Page<ChargeView>([.. page.Data.Select(ChargeView.Of)], page.NextCursor));
    }
}
