using DurableTask.Core.Exceptions;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;
using F = Harbour.Tests.Sandbox.DurableTestFlows;

namespace Harbour.Tests.Sandbox;

/// <summary>What a client does to instances. Written against the SDK alone, so it holds for the real engine as well.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DurableClientTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private DurableTestHost _flows = null!;

    public async Task InitializeAsync() => _flows = await DurableTestHost.StartAsync(sandbox);

    public async Task DisposeAsync() => await _flows.DisposeAsync();

    [Fact]
    public async Task An_id_is_taken_while_its_orchestration_runs_and_free_afterwards()
    {
        await _flows.StartAsync(nameof(F.WaitsForGo), null, "one");
        await Assert.ThrowsAsync<OrchestrationAlreadyExistsException>(() => _flows.StartAsync(nameof(F.WaitsForGo), null, "one"));
        await _flows.Client.RaiseEventAsync("one", "go", "first");
        Assert.Equal("first", (await _flows.EndOfAsync("one")).ReadOutputAs<string>());

        await _flows.StartAsync(nameof(F.WaitsForGo), null, "one");
        Assert.Null((await _flows.StartedAsync("one")).SerializedOutput);
        await _flows.Client.RaiseEventAsync("one", "go", "second");

        Assert.Equal("second", (await _flows.EndOfAsync("one")).ReadOutputAs<string>());
    }

    [Fact]
    public async Task Of_many_starts_under_one_id_one_is_let_through()
    {
        var starts = await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ =>
        {
            try
            {
                await _flows.StartAsync(nameof(F.WaitsForGo), null, "race");
                return 1;
            }
            catch (OrchestrationAlreadyExistsException)
            {
                return 0;
            }
        }));

        Assert.Equal(1, starts.Sum());
    }

    [Fact]
    public async Task A_start_may_be_put_off()
    {
        var at = _flows.Host.Clock.GetUtcNow().AddDays(3);
        var id = await _flows.Client.ScheduleNewOrchestrationInstanceAsync(nameof(F.Sequence), "x", new StartOrchestrationOptions(StartAt: at));

        await _flows.AdvanceAsync(TimeSpan.FromDays(2));
        Assert.Equal(OrchestrationRuntimeStatus.Pending, (await _flows.NowAsync(id)).RuntimeStatus);
        await _flows.AdvanceAsync(TimeSpan.FromDays(2));

        Assert.InRange((await _flows.EndOfAsync(id)).LastUpdatedAt, at, at.AddMinutes(1));
    }

    [Fact]
    public async Task A_suspended_instance_keeps_what_comes_until_it_is_resumed()
    {
        var (waiting, sleeping) = (await _flows.StartAsync(nameof(F.WaitsForGo)), await _flows.StartAsync(nameof(F.WaitsUntil), 5));
        foreach (var id in new[] { waiting, sleeping })
        {
            await _flows.StartedAsync(id);
            await _flows.Client.SuspendInstanceAsync(id, "for the test");
            await Eventually.True(async () => (await _flows.NowAsync(id)).RuntimeStatus == OrchestrationRuntimeStatus.Suspended, "suspended");
        }

        await _flows.Client.RaiseEventAsync(waiting, "go", "kept");
        await _flows.AdvanceAsync(TimeSpan.FromDays(10));
        Assert.DoesNotContain(_flows.Probe.Seen, s => s is "woke" || s.StartsWith("Say", StringComparison.Ordinal));
        foreach (var id in new[] { waiting, sleeping })
        {
            Assert.Equal(OrchestrationRuntimeStatus.Suspended, (await _flows.NowAsync(id)).RuntimeStatus);
            await _flows.Client.ResumeInstanceAsync(id);
        }

        Assert.Equal("kept", (await _flows.EndOfAsync(waiting)).ReadOutputAs<string>());
        Assert.Equal(OrchestrationRuntimeStatus.Completed, (await _flows.EndOfAsync(sleeping)).RuntimeStatus);
    }

    [Fact]
    public async Task A_terminated_instance_ends_with_the_output_that_it_is_given()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsForGo));
        await _flows.StartedAsync(id);

        await _flows.Client.TerminateInstanceAsync(id, (object)"enough");

        var end = await _flows.EndOfAsync(id);
        Assert.Equal((OrchestrationRuntimeStatus.Terminated, "enough"), (end.RuntimeStatus, end.ReadOutputAs<string>()));
        await _flows.Client.RaiseEventAsync(id, "go", "too late");
        Assert.Equal(OrchestrationRuntimeStatus.Terminated, (await _flows.NowAsync(id)).RuntimeStatus);
    }

    [Fact]
    public async Task A_suspended_instance_can_be_terminated()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsForGo));
        await _flows.Client.SuspendInstanceAsync(id);

        await _flows.Client.TerminateInstanceAsync(id);

        Assert.Equal(OrchestrationRuntimeStatus.Terminated, (await _flows.EndOfAsync(id)).RuntimeStatus);
    }

    [Fact]
    public async Task Instances_are_found_by_status_prefix_and_time_page_by_page()
    {
        for (var i = 0; i < 5; i++) await _flows.StartAsync(nameof(F.WaitsForGo), null, $"find/{i}");
        await _flows.StartAsync(nameof(F.WaitsForGo), null, "other/1");
        var midst = _flows.Host.Clock.GetUtcNow();
        await _flows.AdvanceAsync(TimeSpan.FromDays(1));
        await _flows.StartAsync(nameof(F.Sequence), "x", "find/done");
        await _flows.EndOfAsync("find/done");

        Assert.Equal(["find/0", "find/1", "find/2", "find/3", "find/4"], await FindAsync(new(InstanceIdPrefix: "find/", Statuses: [OrchestrationRuntimeStatus.Running])));
        Assert.Equal(["find/done"], await FindAsync(new(InstanceIdPrefix: "find/", Statuses: [OrchestrationRuntimeStatus.Completed])));
        Assert.Equal(["find/done"], await FindAsync(new(CreatedFrom: midst.AddHours(1))));
        Assert.Equal(6, (await FindAsync(new(CreatedTo: midst))).Count);
        var pages = new List<int>();
        await foreach (var page in _flows.Client.GetAllInstancesAsync(new(InstanceIdPrefix: "find/", PageSize: 4)).AsPages()) pages.Add(page.Values.Count);
        Assert.Equal([4, 2], pages);

        async Task<List<string>> FindAsync(OrchestrationQuery query)
        {
            var found = new List<string>();
            await foreach (var instance in _flows.Client.GetAllInstancesAsync(query)) found.Add(instance.InstanceId);
            return found;
        }
    }

    [Fact]
    public async Task Payloads_are_read_only_where_they_were_asked_for()
    {
        var id = await _flows.StartAsync(nameof(F.Sequence), "x");
        var end = await _flows.EndOfAsync(id);

        Assert.Equal(("x", "x0x1x2"), (end.ReadInputAs<string>(), end.ReadOutputAs<string>()));
        Assert.Throws<InvalidOperationException>(() => _flows.Client.GetInstanceAsync(id).Result!.ReadOutputAs<string>());
    }

    [Fact]
    public async Task What_has_ended_is_purged_and_what_runs_is_not()
    {
        await _flows.StartAsync(nameof(F.WaitsForGo), null, "runs");
        await _flows.StartedAsync("runs");
        foreach (var id in new[] { "a", "b", "c" }) await _flows.EndOfAsync(await _flows.StartAsync(nameof(F.Sequence), "x", id));

        Assert.Equal(0, (await _flows.Client.PurgeInstanceAsync("runs")).PurgedInstanceCount);
        Assert.Equal(1, (await _flows.Client.PurgeInstanceAsync("a")).PurgedInstanceCount);
        Assert.Equal(0, (await _flows.Client.PurgeInstanceAsync("a")).PurgedInstanceCount);
        Assert.Equal(2, (await _flows.Client.PurgeAllInstancesAsync(new PurgeInstancesFilter(Statuses: [OrchestrationRuntimeStatus.Completed]))).PurgedInstanceCount);

        Assert.Null(await _flows.Client.GetInstanceAsync("b"));
        Assert.NotNull(await _flows.Client.GetInstanceAsync("runs"));
    }

    [Theory]
    [InlineData(100_000)]
    [InlineData(40_000)]
    public async Task Large_payloads_are_carried(int length)
    {
        var id = await _flows.StartAsync(nameof(F.WaitsForGo));
        var payload = new string('x', length) + "\"鯉";

        await _flows.Client.RaiseEventAsync(id, "go", payload);

        Assert.Equal(payload, (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }
}
