using Harbour.Sandbox;
using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;
using F = Harbour.Tests.Sandbox.DurableTestFlows;

namespace Harbour.Tests.Sandbox;

/// <summary>What the sandbox's own engine promises beyond the SDK: what it refuses, whom it does not keep waiting, and the second host.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DurableEngineTests(SandboxFixture sandbox)
{
    [Theory]
    [InlineData(nameof(BadFlows.Sleeps))]
    [InlineData(nameof(BadFlows.SleepsBesideATimer))]
    [InlineData(nameof(BadFlows.LeavesItsThread))]
    [InlineData(nameof(BadFlows.NeverEnds))]
    public async Task An_orchestrator_that_awaits_anything_else_fails_and_is_told_so(string flow)
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox, more: typeof(BadFlows));

        var end = await flows.EndOfAsync(await flows.StartAsync(flow));

        Assert.Equal(OrchestrationRuntimeStatus.Failed, end.RuntimeStatus);
        Assert.Contains("not of its context", end.FailureDetails!.ErrorMessage, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "called activity 'Note' (#0); its code now: called activity 'Say' (#0)")]
    [InlineData(true, "called activity 'Note' (#0); its code now: has returned")]
    public async Task Code_that_changed_under_a_running_instance_fails_it_and_names_the_difference(bool returns, string difference)
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox, more: typeof(BadFlows));
        BadFlows.Changes = 0;
        var id = await flows.StartAsync(nameof(BadFlows.ChangesItsMind));
        await Eventually.True(() => flows.Probe.Count("first thought") == 1, "the first version ran");
        BadFlows.Changes = returns ? 2 : 1;

        await flows.Client.RaiseEventAsync(id, "go", "x");

        var end = await flows.EndOfAsync(id);
        Assert.Equal(OrchestrationRuntimeStatus.Failed, end.RuntimeStatus);
        Assert.Contains(difference, end.FailureDetails!.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_instance_that_spins_and_an_activity_that_hangs_keep_nobody_waiting()
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox);
        var spinning = await flows.StartAsync(nameof(F.Spins), 0);
        var hanging = await flows.StartAsync(nameof(F.Held));
        await Eventually.True(() => flows.Probe.Count("at the door") == 1, "the activity hangs");

        Assert.Equal("a0a1a2", await flows.ResultOfAsync<string>(nameof(F.Sequence), "a"));
        Assert.Equal(OrchestrationRuntimeStatus.Completed, (await flows.EndOfAsync(await flows.StartAsync(nameof(F.WaitsUntil), 0))).RuntimeStatus);

        Assert.True((await flows.NowAsync(spinning)).ReadInputAs<int>() > 3);
        await flows.Client.TerminateInstanceAsync(spinning);
        await flows.EndOfAsync(spinning);
        flows.Probe.Door.SetResult();
        Assert.Equal("through", (await flows.EndOfAsync(hanging)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task An_activity_is_given_the_client_and_a_typed_input()
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox, more: typeof(MoreFlows));

        var started = await flows.ResultOfAsync<string>(nameof(MoreFlows.Orders), new Order("o", 2));

        Assert.Equal("o0o1o2", (await flows.EndOfAsync(started!)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task A_host_without_an_engine_starts_speaks_to_and_waits_for_orchestrations()
    {
        var storage = sandbox.NewStorage();
        await using var first = await DurableTestHost.StartAsync(sandbox, storage);
        await using var second = await DurableTestHost.StartAsync(sandbox, storage, role: SandboxRole.Http);

        var id = await second.StartAsync(nameof(F.WaitsForGo));
        await second.StartedAsync(id);
        await second.Client.RaiseEventAsync(id, "go", "from afar");

        Assert.Equal("from afar", (await second.EndOfAsync(id)).ReadOutputAs<string>());
        Assert.Contains("Say from afar True", first.Probe.Seen);
        Assert.DoesNotContain("Say from afar True", second.Probe.Seen);
    }

    [Fact]
    public async Task What_a_host_without_an_engine_wrote_is_found_before_time_moves_on()
    {
        var storage = sandbox.NewStorage();
        await using var first = await DurableTestHost.StartAsync(sandbox, storage);
        await using var second = await DurableTestHost.StartAsync(sandbox, storage, role: SandboxRole.Http);
        var id = await first.StartAsync(nameof(F.WaitsAtMost), 3);
        await first.StartedAsync(id);

        await second.Client.RaiseEventAsync(id, "go", "in time");
        await first.AdvanceAsync(TimeSpan.FromDays(10));

        Assert.Equal("in time", (await first.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task A_payload_that_is_too_large_is_refused_with_the_limit()
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox);

        var refused = await Assert.ThrowsAsync<ArgumentException>(() => flows.StartAsync(nameof(F.Sequence), new string('x', 200_000)));

        Assert.Contains("131072", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_hundred_orchestrations_at_once_all_come_to_their_end()
    {
        await using var flows = await DurableTestHost.StartAsync(sandbox);

        var ids = await Task.WhenAll(Enumerable.Range(0, 200).Select(n => flows.StartAsync(nameof(F.Sequence), $"{n}-")));
        var ends = await Task.WhenAll(ids.Select(flows.EndOfAsync));

        Assert.All(ends, end => Assert.Equal(OrchestrationRuntimeStatus.Completed, end.RuntimeStatus));
        Assert.Equal(600, flows.Probe.Seen.Count(s => s.StartsWith("Say", StringComparison.Ordinal)));
    }
}

/// <summary>What an orchestrator must not do.</summary>
public static class BadFlows
{
    public static int Changes { get; set; }

    [Function(nameof(Sleeps))]
    public static async Task Sleeps([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "slept");
    }

    [Function(nameof(SleepsBesideATimer))]
    public static async Task SleepsBesideATimer([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var timer = context.CreateTimer(TimeSpan.FromDays(1), CancellationToken.None);
        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        await timer;
    }

    [Function(nameof(LeavesItsThread))]
    public static async Task LeavesItsThread([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var timer = context.CreateTimer(TimeSpan.FromDays(1), CancellationToken.None);
        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System).ConfigureAwait(false);
        await context.CallActivityAsync(nameof(DurableTestActivities.Note), "elsewhere");
        await timer;
    }

    [Function(nameof(NeverEnds))]
    public static Task NeverEnds([OrchestrationTrigger] TaskOrchestrationContext context) => new TaskCompletionSource().Task;

    [Function(nameof(ChangesItsMind))]
    public static async Task ChangesItsMind([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        if (Changes == 2) return;
        var go = context.WaitForExternalEvent<string>("go");
        if (Changes == 0) await context.CallActivityAsync(nameof(DurableTestActivities.Note), "first thought");
        else await context.CallActivityAsync(nameof(DurableTestActivities.Say), "second thought");
        await go;
    }
}

public static class MoreFlows
{
    [Function(nameof(Orders))]
    public static Task<string> Orders([OrchestrationTrigger] TaskOrchestrationContext context) =>
        context.CallActivityAsync<string>(nameof(DurableTestActivities.StartOther), context.GetInput<Order>());
}
