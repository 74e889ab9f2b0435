using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Access;

/// <summary>What is answered where no other function is.</summary>
public sealed class AccessFunctions(Routes routes)
{
    /// <summary>Every path and method that no other route takes: 404, or 405 with the methods that the path does take.</summary>
    [Function("Elsewhere"), Public]
    public IResult Elsewhere([HttpTrigger(AuthorizationLevel.Anonymous, Route = "{*path}")] HttpRequest request)
    {
        var call = Call.Of(request);
        var methods = routes.MethodsAt(request.Path);
        if (methods.Count == 0) return call.Problem(Errors.RouteNotFound);

        var allow = string.Join(", ", methods);
        var answer = HttpMethods.IsOptions(request.Method) ? Answer.Empty(204) : call.Problem(Errors.MethodNotAllowed.With(allow));
        answer.Headers["Allow"] = allow;
        return answer;
    }
}
