using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Ledger;

/// <summary>Shows a merchant what it has, and the lines behind it.</summary>
public sealed class LedgerFunctions(LedgerBooks ledger, TimeProvider time)
{
    [Function("GetBalance"), Access("reports:read")]
    public async Task<IResult> Balance([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/balance")] HttpRequest http)
    {
        var call = Call.Of(http);
        var asOf = time.GetUtcNow();
        var balances = await ledger.BalanceAsync(call.Book, http.HttpContext.RequestAborted);
        return Answer.Ok(new { Object = "balance", Balances = balances, AsOf = asOf });
    }

    [Function("ListBalanceEntries"), Access("reports:read")]
    public async Task<IResult> Entries([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/balance/entries")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor, currency) = (query.Limit(), query.Text("cursor", 80), query.Currency("currency", LedgerBooks.Currencies));
        if (!LedgerBooks.TryReadCursor(cursor, out var after)) query.Refuse(Errors.FieldInvalid.At("cursor", "the next_cursor of the page before"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        return Answer.List(await ledger.EntriesAsync(call.Book, currency, after, limit, http.HttpContext.RequestAborted));
    }
}
