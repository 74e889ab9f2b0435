using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Operations;

public static class OperationsFunctions
{
    /// <summary>Says that this worker answers. It touches nothing else, so that a slow dependency does not take workers away.</summary>
    [Function("Health"), Public]
    public static IResult Health([HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "healthz")] HttpRequest request) =>
        Answer.Ok(new { Status = "ok" });
}
