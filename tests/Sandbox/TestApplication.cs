using System.Collections.Concurrent;
using Azure.Messaging.ServiceBus;
using Harbour.Sandbox;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Azure.Functions.Worker.Middleware;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Harbour.Tests.Sandbox;

/// <summary>A tiny function app that shows what the host does with it, in the order in which it does it.</summary>
internal static class TestApplication
{
    public static SandboxOptions Options(Probe probe, Type[] functions, params DueSource[] sources) => new()
    {
        Seed = (_, _) => Task.CompletedTask,
        FunctionClasses = functions,
        Application = args =>
        {
            var builder = FunctionsApplication.CreateBuilder(args);
            builder.ConfigureFunctionsWebApplication();
            builder.Services.AddSingleton(probe);
            builder.Services.AddSingleton(TimeProvider.System);
            builder.UseMiddleware<OuterMiddleware>();
            builder.UseMiddleware(async (context, next) =>
            {
                if (context.GetHttpContext() is { } http && http.Request.Query.ContainsKey("refuse"))
                {
                    http.Response.StatusCode = StatusCodes.Status418ImATeapot;
                    await http.Response.WriteAsync("refused");
                    return;
                }

                await next();
            });
            foreach (var source in sources) builder.Services.AddSingleton(source);
            return builder;
        },
    };
}

/// <summary>What happened, and a door at which a function can be held.</summary>
public sealed class Probe
{
    private readonly ConcurrentQueue<string> _seen = new();

    public IReadOnlyList<string> Seen => [.. _seen];

    public TaskCompletionSource Door { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The messages that were delivered, and when by the sandbox's clock.</summary>
    public ConcurrentQueue<(ServiceBusReceivedMessage Message, DateTimeOffset At)> Messages { get; } = new();

    /// <summary>Whether the functions that may fail do so.</summary>
    public bool IsBroken { get; set; } = true;

    public void Saw(string what) => _seen.Enqueue(what);

    public int Count(string what) => _seen.Count(s => s == what);
}

public sealed class OuterMiddleware(Probe probe) : IFunctionsWorkerMiddleware
{
    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        probe.Saw($"before {context.FunctionDefinition.Name}");
        await next(context);
        if (context.GetHttpContext() is { } http)
        {
            probe.Saw($"after, response started: {http.Response.HasStarted}, result: {context.GetInvocationResult().Value?.GetType().Name}");
            if (http.Request.Query.ContainsKey("replace")) context.GetInvocationResult().Value = Results.Text("replaced");
        }
    }
}

public sealed class HttpTestFunctions(Probe probe, TimeProvider clock)
{
    [Function("GetItem")]
    public static IResult GetItem(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "items/{id}")] HttpRequest request, string id, FunctionContext context, CancellationToken cancellation) =>
        Results.Text($"{request.Method} {id} {context.FunctionDefinition.Name} {cancellation == context.CancellationToken} {context.BindingContext.BindingData["id"]}");

    [Function("MakeItem")]
    public static Task<IActionResult> MakeItem([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "items")] HttpRequest request) =>
        Task.FromResult<IActionResult>(new ObjectResult(new { made = true }) { StatusCode = StatusCodes.Status201Created });

    [Function("Throws")]
    public static Task<IResult> Throws([HttpTrigger(AuthorizationLevel.Anonymous, Route = "throws")] HttpRequest request) =>
        throw new InvalidOperationException("a secret detail");

    [Function("Address")]
    public static IResult Address([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "address")] HttpRequest request) =>
        Results.Text($"{request.HttpContext.Connection.RemoteIpAddress} {request.Scheme} {request.Host}");

    [Function("Body")]
    public static async Task<IResult> Body([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "body")] HttpRequest request)
    {
        using var reader = new StreamReader(request.Body);
        return Results.Text($"{(await reader.ReadToEndAsync()).Length}");
    }

    [Function("Held")]
    public async ValueTask<IResult> Held([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "held")] HttpRequest request)
    {
        var before = clock.GetUtcNow();
        probe.Saw("held");
        await probe.Door.Task;
        return Results.Text($"{(clock.GetUtcNow() - before).TotalHours:0}");
    }

    [Function("Now")]
    public IResult Now([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "now")] HttpRequest request)
    {
        probe.Saw("now");
        return Results.Text(clock.GetUtcNow().ToString("O"));
    }

    [Function("NotFound")]
    public static IResult NotFound([HttpTrigger(AuthorizationLevel.Anonymous, Route = "{*path}")] HttpRequest request, string? path) =>
        Results.Text($"nothing at '{path}' for {request.Method}", statusCode: StatusCodes.Status404NotFound);
}

public sealed class TimerTestFunctions(Probe probe, TimeProvider clock)
{
    [Function("Hourly")]
    public void Hourly([TimerTrigger("0 0 * * * *")] TimerInfo timer) => Saw("Hourly", timer);

    [Function("Midnight")]
    public Task Midnight([TimerTrigger("0 0 16 * * *")] TimerInfo timer)
    {
        Saw("Midnight", timer);
        return Task.CompletedTask;
    }

    [Function("Fails")]
    public static Task Fails([TimerTrigger("0 0 16 * * *")] TimerInfo timer) => throw new InvalidOperationException("as it should");

    private void Saw(string name, TimerInfo timer) =>
        probe.Saw($"{clock.GetUtcNow().ToOffset(TimeSpan.FromHours(8)):d'.'HH:mm} {name}{(timer.IsPastDue ? " past due" : "")}");
}
