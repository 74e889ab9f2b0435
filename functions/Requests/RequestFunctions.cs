using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Requests;

/// <summary>Shows a merchant what a request did, by the <c>X-Request-ID</c> that every answer names.</summary>
public sealed class RequestFunctions(RequestHistory history)
{
    [Function("GetRequest"), Access("account:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/requests/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Gate.IsRequestId(id)) return call.Problem(Errors.RequestNotFound);
        return await history.FindAsync(call.Book, id, call.Aborted) is { } request ? Answer.Ok(request) : call.Problem(Errors.RequestNotFound);
    }
}
