using Microsoft.DurableTask.Client;
using F = Harbour.Tests.Sandbox.DurableTestFlows;

namespace Harbour.Tests.Sandbox;

/// <summary>What an orchestrator waits for: time and events. Written against the SDK alone, so it holds for the real engine as well.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DurableEventTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private DurableTestHost _flows = null!;

    public async Task InitializeAsync() => _flows = await DurableTestHost.StartAsync(sandbox);

    public async Task DisposeAsync() => await _flows.DisposeAsync();

    [Theory]
    [InlineData(31)]
    [InlineData(3653)]
    public async Task A_timer_of_any_length_fires_at_its_moment_and_not_before(int days)
    {
        var id = await _flows.StartAsync(nameof(F.WaitsUntil), days);
        var start = (await _flows.StartedAsync(id)).CreatedAt;

        await _flows.AdvanceAsync(TimeSpan.FromDays(days) - TimeSpan.FromHours(1));
        Assert.Equal(OrchestrationRuntimeStatus.Running, (await _flows.NowAsync(id)).RuntimeStatus);
        await _flows.AdvanceAsync(TimeSpan.FromHours(3));

        var woke = new DateTimeOffset((await _flows.EndOfAsync(id)).ReadOutputAs<DateTime>(), TimeSpan.Zero);
        Assert.InRange(woke, start.AddDays(days), start.AddDays(days).AddMinutes(1));
    }

    [Fact]
    public async Task A_timer_fires_by_itself_as_time_passes()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsUntil), 0);

        Assert.Equal(OrchestrationRuntimeStatus.Completed, (await _flows.EndOfAsync(id)).RuntimeStatus);
    }

    [Fact]
    public async Task An_event_reaches_the_one_that_waits_for_it()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsForGo));
        await Eventually.True(async () => (await _flows.NowAsync(id)).SerializedCustomStatus == """{"waits":"go"}""", "the custom status");

        await _flows.Client.RaiseEventAsync(id, "gO", "now");

        Assert.Equal("now", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task Events_that_come_early_are_kept_in_their_order()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsLate));
        await _flows.Client.RaiseEventAsync(id, "Go", "a");
        await _flows.Client.RaiseEventAsync(id, "Go", "b");

        await _flows.AdvanceAsync(TimeSpan.FromDays(2));

        Assert.Equal("ab", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task A_wait_for_an_event_ends_with_its_time()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsAtMost), 3);
        await _flows.StartedAsync(id);

        await _flows.AdvanceAsync(TimeSpan.FromDays(4));

        Assert.Equal("gave up after 3 days", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task A_wait_whose_event_came_leaves_no_timer_to_wait_for()
    {
        var id = await _flows.StartAsync(nameof(F.WaitsAtMost), 3);

        await _flows.Client.RaiseEventAsync(id, "Go", "in time");

        Assert.Equal("in time", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task An_orchestration_ends_only_once_the_timers_that_it_left_have_fired()
    {
        var id = await _flows.StartAsync(nameof(F.LeavesATimerOpen));
        await _flows.Client.RaiseEventAsync(id, "Go", "early");
        await Eventually.True(async () => (await _flows.Client.GetOrchestrationHistoryAsync(id)).Any(e => e is DurableTask.Core.History.EventRaisedEvent), "the event is in the history");
        Assert.Equal(OrchestrationRuntimeStatus.Running, (await _flows.NowAsync(id)).RuntimeStatus);

        await _flows.AdvanceAsync(TimeSpan.FromDays(3));

        Assert.Equal("early", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task An_event_for_nobody_is_dropped()
    {
        await _flows.Client.RaiseEventAsync("nobody", "go", "x");

        Assert.Null(await _flows.Client.GetInstanceAsync("nobody"));
    }

    [Fact]
    public async Task One_orchestration_sends_an_event_to_another_once()
    {
        var waiting = await _flows.StartAsync(nameof(F.WaitsForGo));
        await _flows.StartedAsync(waiting);

        await _flows.ResultOfAsync<string>(nameof(F.SendsGo), waiting);

        Assert.Equal("from SendsGo", (await _flows.EndOfAsync(waiting)).ReadOutputAs<string>());
        Assert.Single(await _flows.Client.GetOrchestrationHistoryAsync(waiting), e => e is DurableTask.Core.History.EventRaisedEvent);
    }

    [Fact]
    public async Task Events_survive_that_their_receiver_continues_as_new()
    {
        var id = await _flows.StartAsync(nameof(F.Collects));
        await _flows.Client.SuspendInstanceAsync(id);
        foreach (var item in new[] { "a", "b", "c", "d", "e" }) await _flows.Client.RaiseEventAsync(id, "item", item);
        await _flows.Client.ResumeInstanceAsync(id);

        Assert.Equal(["a", "b", "c", "d", "e"], (await _flows.EndOfAsync(id)).ReadOutputAs<string[]>()!);
    }

    [Fact]
    public async Task Events_are_dropped_where_the_next_execution_is_not_to_have_them()
    {
        var id = await _flows.StartAsync(nameof(F.Forgets), 0);
        await _flows.Client.SuspendInstanceAsync(id);
        await _flows.Client.RaiseEventAsync(id, "item", "old");
        await _flows.Client.RaiseEventAsync(id, "next");
        await _flows.Client.ResumeInstanceAsync(id);
        await Eventually.True(async () => (await _flows.NowAsync(id)).ReadInputAs<int>() == 1, "the next execution");

        await _flows.AdvanceAsync(TimeSpan.FromDays(2));

        Assert.Equal("nothing was kept", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task An_eternal_orchestration_goes_on_month_by_month_with_a_short_history()
    {
        var id = await _flows.StartAsync(nameof(F.Monthly), 0, "monthly");
        await _flows.StartedAsync(id);

        await _flows.AdvanceAsync(TimeSpan.FromDays(365));
        Assert.InRange((await _flows.Client.GetOrchestrationHistoryAsync(id)).Count, 1, 5);
        Assert.InRange(_flows.Probe.Seen.Count(s => s.StartsWith("monthly month", StringComparison.Ordinal)), 11, 12);
        await _flows.AdvanceAsync(TimeSpan.FromDays(370));

        Assert.Equal("two years", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
        Assert.Equal(Enumerable.Range(0, 24).Select(m => $"monthly month {m}"), _flows.Probe.Seen.Where(s => s.StartsWith("monthly month", StringComparison.Ordinal)));
    }
}
