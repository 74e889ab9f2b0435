using Harbour.Access;
using Harbour.Charges;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Refunds;

/// <summary>Gives money back, and shows what was given back.</summary>
public sealed class RefundFunctions(RefundOperations operations, RefundStore store)
{
    [Function("CreateRefund"), Access("refunds:write", Idempotency = true)]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/charges/{id}/refunds")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Charge>.TryParse(id, out var charge)) return call.Problem(Errors.ChargeNotFound);
        if (!Read(call.Body).Ok(out var request, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, charge, request);
    }

    [Function("GetRefund"), Access("charges:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/refunds/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Refund>.TryParse(id, out var refund)) return call.Problem(Errors.RefundNotFound);
        return await store.FindAsync(call.Book, refund, call.Aborted) is { } row ? Answer.Ok(RefundView.Of(row.Value)) : call.Problem(Errors.RefundNotFound);
    }

    [Function("ListRefunds"), Access("charges:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/refunds")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor, charge) = (query.Limit(), query.Id<Refund>("cursor"), query.Id<Charge>("charge"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListAsync(call.Book, charge, cursor, limit, call.Aborted);
        return Answer.List(new Page<RefundView>([.. page.Data.Select(RefundView.Of)], page.NextCursor));
    }

    private static Result<RefundRequest> Read(ReadOnlyMemory<byte> body)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;
        var request = new RefundRequest(fields.Amount("amount"), fields.OneOf("reason", Refund.Reasons), fields.Text("reference", 128));
        return fields.Finish() is { } refusal ? refusal : request;
    }
}
