using System.Diagnostics;
using DurableTask.Core.History;
using Harbour.Sandbox;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Benchmarks;

/// <summary>
/// Measures how many orchestrations of three activities each the sandbox's engine brings to their end per second, on Azurite, and
/// reads every history afterwards: what was fast and is not there does not count. It says nothing about the engine in Azure.
/// </summary>
public static class OrchestrationsRun
{
    private const int WarmUp = 50;

    public static async Task RunAsync(int count)
    {
        await using var host = await SandboxHost.StartAsync(new SandboxOptions
        {
            FunctionClasses = [typeof(Flow)],
            Seed = (_, _) => Task.CompletedTask,
            Application = args =>
            {
                var builder = FunctionsApplication.CreateBuilder(args);
                builder.ConfigureFunctionsWebApplication();
                builder.Logging.SetMinimumLevel(LogLevel.Warning);
                builder.Services.AddSingleton(TimeProvider.System);
                return builder;
            },
        });
        var client = host.Services.GetRequiredService<DurableTaskClient>();
        await RunAsync(client, "warm", WarmUp);

        var began = Stopwatch.GetTimestamp();
        var ends = await RunAsync(client, "run", count);
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        var complete = 0;
        foreach (var end in ends)
        {
            var history = await client.GetOrchestrationHistoryAsync(end.InstanceId);
            if (end.RuntimeStatus == OrchestrationRuntimeStatus.Completed && history.OfType<TaskCompletedEvent>().Count() == 3 && history[^1] is ExecutionCompletedEvent) complete++;
        }

        Report.Table($"{count} orchestrations of three activities, started at once",
            ["seconds", $"{seconds:F1}"],
            ["orchestrations per second", $"{count / seconds:F0}"],
            ["with a whole history", $"{complete}"]);
    }

    private static async Task<OrchestrationMetadata[]> RunAsync(DurableTaskClient client, string name, int count)
    {
        var ids = await Task.WhenAll(Enumerable.Range(0, count).Select(n =>
            client.ScheduleNewOrchestrationInstanceAsync(nameof(Flow.ThreeSteps), n, new StartOrchestrationOptions($"{name}-{n}"))));
        return await Task.WhenAll(ids.Select(id => client.WaitForInstanceCompletionAsync(id)));
    }

    public static class Flow
    {
        [Function(nameof(ThreeSteps))]
        public static async Task<int> ThreeSteps([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            var n = context.GetInput<int>();
            for (var step = 0; step < 3; step++) n = await context.CallActivityAsync<int>(nameof(AddOne), n);
            return n;
        }

        [Function(nameof(AddOne))]
        public static int AddOne([ActivityTrigger] int n) => n + 1;
    }
}
