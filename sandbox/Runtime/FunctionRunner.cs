using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Abstractions;
using Microsoft.AspNetCore.Routing;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Middleware;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Runtime;

/// <summary>Runs invocations: through the gate, in a scope of services, through every middleware, to the function.</summary>
public sealed class FunctionRunner(
    FunctionExecutionDelegate pipeline, InvocationGate gate, ClockFollower follower, IServiceScopeFactory scopes, ILogger<FunctionRunner> logger)
{
    /// <summary>Runs a function that no HTTP request started. Its exception is the caller's to handle.</summary>
    public async Task<object?> RunAsync(Function function, object triggerValue, CancellationToken cancellation)
    {
        await follower.CatchUpAsync(cancellation);
        using var pass = await gate.EnterAsync(cancellation);
        await using var scope = scopes.CreateAsyncScope();
        var invocation = new Invocation(function, triggerValue, scope.ServiceProvider, cancellation);
        await pipeline(invocation);
        return invocation.Result;
    }

    /// <summary>
    /// Runs one step of an orchestrator. As in the worker the middlewares are part of it: they begin at every step, end only with
    /// the orchestrator itself, and may not await anything else either.
    /// </summary>
    public async Task RunStepAsync(Function function, object orchestrationContext, Action<Func<Task<object?>>> step, CancellationToken cancellation)
    {
        using var pass = await gate.EnterAsync(cancellation);
        await using var scope = scopes.CreateAsyncScope();
        var invocation = new Invocation(function, orchestrationContext, scope.ServiceProvider, cancellation);
        step(async () =>
        {
            await pipeline(invocation);
            return invocation.Result;
        });
    }

    /// <summary>
    /// Serves an HTTP request. As in the worker, what the function returned becomes the response only after the whole
    /// pipeline has returned, and an exception that leaves the pipeline is a 500 that says nothing.
    /// </summary>
    public async Task ServeAsync(Function function, HttpContext http)
    {
        try
        {
            await follower.CatchUpAsync(http.RequestAborted);
            using var pass = await gate.EnterAsync(http.RequestAborted);
            var invocation = new Invocation(function, http.Request, http.RequestServices, http.RequestAborted);
            invocation.Items.Add(FunctionContextExtensions.HttpContextKey, http);
            await pipeline(invocation);
            await RespondAsync(invocation.Result, http);
        }
        catch (Exception e) when (http.RequestAborted.IsCancellationRequested)
        {
            logger.LogDebug(e, "The client of {Function} went away", function.Name);
        }
        catch (Exception e)
        {
            Fail(function, http, e);
        }
    }

    private static Task RespondAsync(object? result, HttpContext http) => result switch
    {
        IResult r => r.ExecuteAsync(http),
        IActionResult r => r.ExecuteResultAsync(new ActionContext(http, http.GetRouteData(), new ActionDescriptor())),
        _ => Task.CompletedTask,
    };

    private void Fail(Function function, HttpContext http, Exception e)
    {
        // A request that breaks off or breaks HTTP's own rules while its body is read is the client's mistake, not the function's.
        var status = (e as BadHttpRequestException)?.StatusCode ?? StatusCodes.Status500InternalServerError;
        if (status >= 500) logger.LogError(e, "Function {Function} failed", function.Name);

        if (http.Response.HasStarted)
        {
            // Half an answer must not look like a whole one.
            http.Abort();
            return;
        }

        http.Response.Clear();
        http.Response.StatusCode = status;
    }
}
