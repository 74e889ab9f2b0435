using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;

namespace Harbour.Tests.Sandbox;

public sealed record Order(string Name, int Count);

/// <summary>Small flows, each of which shows one behaviour. They use nothing but the SDK.</summary>
public static class DurableTestFlows
{
    [Function(nameof(Sequence))]
    public static async Task<string> Sequence([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var said = "";
        for (var i = 0; i < 3; i++) said += await context.CallActivityAsync<string>(nameof(DurableTestActivities.Say), $"{context.GetInput<string>()}{i}");
        return said;
    }

    [Function(nameof(FanOut))]
    public static async Task<int> FanOut([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var calls = Enumerable.Range(1, context.GetInput<int>()).Select(n => context.CallActivityAsync<int>(nameof(DurableTestActivities.Double), n));
        return (await Task.WhenAll(calls)).Sum();
    }

    [Function(nameof(WaitsUntil))]
    public static async Task<DateTime> WaitsUntil([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        await context.CreateTimer(context.CurrentUtcDateTime.AddDays(context.GetInput<int>()), CancellationToken.None);
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "woke");
        return context.CurrentUtcDateTime;
    }

    [Function(nameof(WaitsForGo))]
    public static async Task<string> WaitsForGo([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        context.SetCustomStatus(new { waits = "go" });
        var said = await context.WaitForExternalEvent<string>("Go");
        return await context.CallActivityAsync<string>(nameof(DurableTestActivities.Say), said);
    }

    [Function(nameof(WaitsLate))]
    public static async Task<string> WaitsLate([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        await context.CreateTimer(TimeSpan.FromDays(1), CancellationToken.None);
        return await context.WaitForExternalEvent<string>("go") + await context.WaitForExternalEvent<string>("GO");
    }

    [Function(nameof(WaitsAtMost))]
    public static async Task<string> WaitsAtMost([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        try
        {
            return await context.WaitForExternalEvent<string>("Go", TimeSpan.FromDays(context.GetInput<int>()));
        }
        catch (TaskCanceledException)
        {
            return $"gave up after {context.GetInput<int>()} days";
        }
    }

    [Function(nameof(LeavesATimerOpen))]
    public static async Task<string> LeavesATimerOpen([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var timer = context.CreateTimer(TimeSpan.FromDays(2), CancellationToken.None);
        var go = context.WaitForExternalEvent<string>("Go");
        return await Task.WhenAny(timer, go) == go ? await go : "time";
    }

    [Function(nameof(Fails))]
    public static async Task<string> Fails([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        if (context.GetInput<string>() == "itself") throw new InvalidOperationException("thrown by the orchestrator");
        await context.CallActivityAsync(nameof(DurableTestActivities.Refuse), "unhandled");
        return "not reached";
    }

    [Function(nameof(Catches))]
    public static async Task<string> Catches([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        try
        {
            await context.CallActivityAsync(nameof(DurableTestActivities.Refuse), "handled");
            return "not reached";
        }
        catch (TaskFailedException e)
        {
            return $"{e.TaskName}: {e.FailureDetails.ErrorMessage}";
        }
    }

    [Function(nameof(CallsWhatIsNotThere))]
    public static async Task<string> CallsWhatIsNotThere([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        try
        {
            await context.CallActivityAsync("NoSuchActivity", null, new RetryPolicy(5, TimeSpan.FromDays(1)).Once());
            return "not reached";
        }
        catch (TaskFailedException e)
        {
            return $"{e.TaskName} failed";
        }
    }

    [Function(nameof(RetriesByPolicy))]
    public static async Task<string> RetriesByPolicy([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var began = context.CurrentUtcDateTime;
        var policy = new RetryPolicy(4, TimeSpan.FromHours(1), backoffCoefficient: 3, maxRetryInterval: TimeSpan.FromHours(5));
        var said = await context.CallActivityAsync<string>(nameof(DurableTestActivities.FailsThrice), context.InstanceId, TaskOptions.FromRetryPolicy(policy));
        return $"{said} after {(context.CurrentUtcDateTime - began).TotalHours:0} hours";
    }

    [Function(nameof(RetriesByHandler))]
    public static async Task<string> RetriesByHandler([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var handler = TaskOptions.FromRetryHandler(async retry =>
        {
            await retry.OrchestrationContext.CreateTimer(TimeSpan.FromMinutes(retry.LastAttemptNumber), CancellationToken.None);
            return retry.LastAttemptNumber < context.GetInput<int>();
        });
        try
        {
            return await context.CallActivityAsync<string>(nameof(DurableTestActivities.FailsThrice), context.InstanceId, handler);
        }
        catch (TaskFailedException e)
        {
            return $"gave up: {e.FailureDetails.ErrorMessage}";
        }
    }

    [Function(nameof(Stops))]
    public static async Task<string> Stops([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var began = context.CurrentUtcDateTime;
        var policy = new RetryPolicy(100, TimeSpan.FromHours(1), retryTimeout: TimeSpan.FromHours(3)) { HandleFailure = f => !f.ErrorMessage.Contains("hopeless", StringComparison.Ordinal) };
        try
        {
            await context.CallActivityAsync(nameof(DurableTestActivities.Refuse), context.GetInput<string>(), TaskOptions.FromRetryPolicy(policy));
            return "not reached";
        }
        catch (TaskFailedException)
        {
            return $"{(context.CurrentUtcDateTime - began).TotalHours:0} hours";
        }
    }

    [Function(nameof(CallsSub))]
    public static async Task<string> CallsSub([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var sub = context.GetInput<string>()!;
        try
        {
            return "sub said " + await context.CallSubOrchestratorAsync<string>(sub, "x", new SubOrchestrationOptions(instanceId: context.InstanceId + "-sub"));
        }
        catch (TaskFailedException e)
        {
            return $"{e.TaskName}: {e.FailureDetails.ErrorMessage}";
        }
    }

    [Function(nameof(NamesItsParent))]
    public static Task<string> NamesItsParent([OrchestrationTrigger] TaskOrchestrationContext context) =>
        Task.FromResult($"{context.Name} of {context.Parent?.Name} {context.Parent?.InstanceId}");

    [Function(nameof(SendsGo))]
    public static async Task<string> SendsGo([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        context.SendEvent(context.GetInput<string>()!, "go", $"from {context.Name}");
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "sent");
        return "sent";
    }

    [Function(nameof(Collects))]
    public static async Task<List<string>> Collects([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var items = context.GetInput<List<string>>() ?? [];
        items.Add(await context.WaitForExternalEvent<string>("item"));
        if (items.Count == 5) return items;
        context.ContinueAsNew(items);
        return [];
    }

    [Function(nameof(Forgets))]
    public static async Task<string> Forgets([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        if (context.GetInput<int>() == 1)
        {
            var go = context.WaitForExternalEvent<string>("item");
            return await Task.WhenAny(context.CreateTimer(TimeSpan.FromDays(1), CancellationToken.None), go) == go ? await go : "nothing was kept";
        }

        await context.WaitForExternalEvent<string>("next");
        context.ContinueAsNew(1, preserveUnprocessedEvents: false);
        return "";
    }

    [Function(nameof(Monthly))]
    public static async Task<string> Monthly([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var month = context.GetInput<int>();
        if (month == 24) return "two years";
        await context.CreateTimer(context.CurrentUtcDateTime.AddMonths(1), CancellationToken.None);
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), $"{context.InstanceId} month {month}");
        context.ContinueAsNew(month + 1);
        return "";
    }

    [Function(nameof(Spins))]
    public static Task<string> Spins([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        context.ContinueAsNew(context.GetInput<int>() + 1);
        return Task.FromResult("");
    }

    [Function(nameof(Ids))]
    public static async Task<bool> Ids([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var (first, second, at) = (context.NewGuid(), context.NewGuid(), context.CurrentUtcDateTime);
        var kept = await context.CallActivityAsync<string>(nameof(DurableTestActivities.Say), $"{first} {second} {at:O}");
        return first != second && kept == $"{first} {second} {at:O}";
    }

    [Function(nameof(Held))]
    public static async Task<string> Held([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "before");
        await context.CallActivityAsync(nameof(DurableTestActivities.WaitAtDoor), "x");
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "after");
        return "through";
    }

    private static TaskOptions Once(this RetryPolicy policy) => TaskOptions.FromRetryPolicy(policy);
}

public sealed class DurableTestActivities(Probe probe)
{
    [Function(nameof(Say))]
    public string Say([ActivityTrigger] string what, FunctionContext context, CancellationToken cancellation)
    {
        probe.Saw($"{context.FunctionDefinition.Name} {what} {cancellation == context.CancellationToken}");
        return what;
    }

    [Function(nameof(Double))]
    public static Task<int> Double([ActivityTrigger] int n) => Task.FromResult(2 * n);

    [Function(nameof(Note))]
    public void Note([ActivityTrigger] string what) => probe.Saw(what);

    [Function(nameof(Refuse))]
    public void Refuse([ActivityTrigger] string why)
    {
        probe.Saw($"refuse {why}");
        throw new InvalidOperationException($"refused: {why}");
    }

    [Function(nameof(FailsThrice))]
    public string FailsThrice([ActivityTrigger] string key)
    {
        probe.Saw(key);
        return probe.Count(key) > 3 ? "done" : throw new InvalidOperationException($"failure {probe.Count(key)}");
    }

    [Function(nameof(WaitAtDoor))]
    public async Task<string> WaitAtDoor([ActivityTrigger] string what, CancellationToken cancellation)
    {
        probe.Saw("at the door");
        await probe.Door.Task.WaitAsync(cancellation);
        return what;
    }

    [Function(nameof(StartOther))]
    public static Task<string> StartOther([ActivityTrigger] Order order, [DurableClient] DurableTaskClient client) =>
        client.ScheduleNewOrchestrationInstanceAsync(nameof(DurableTestFlows.Sequence), order.Name);
}
