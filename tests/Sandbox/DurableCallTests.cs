using Microsoft.DurableTask.Client;
using F = Harbour.Tests.Sandbox.DurableTestFlows;

namespace Harbour.Tests.Sandbox;

/// <summary>What an orchestrator calls: activities and other orchestrators. Written against the SDK alone, so it holds for the real engine as well.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DurableCallTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private DurableTestHost _flows = null!;

    public async Task InitializeAsync() => _flows = await DurableTestHost.StartAsync(sandbox);

    public async Task DisposeAsync() => await _flows.DisposeAsync();

    [Fact]
    public async Task Activities_run_one_after_the_other_and_return_what_they_made()
    {
        Assert.Equal("a0a1a2", await _flows.ResultOfAsync<string>(nameof(F.Sequence), "a"));
        Assert.Equal(["Say a0 True", "Say a1 True", "Say a2 True"], _flows.Probe.Seen.Where(s => s.StartsWith("Say", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Two_hundred_activities_at_once_are_gathered_again() =>
        Assert.Equal(200 * 201, await _flows.ResultOfAsync<int>(nameof(F.FanOut), 200));

    [Fact]
    public async Task Names_are_found_whatever_their_case() => Assert.Equal(2, await _flows.ResultOfAsync<int>("fanOUT", 1));

    [Fact]
    public async Task What_an_activity_throws_reaches_the_orchestrator_as_a_failed_task() =>
        Assert.Equal("Refuse: refused: handled", await _flows.ResultOfAsync<string>(nameof(F.Catches)));

    [Fact]
    public async Task A_failure_that_nobody_catches_ends_the_orchestration()
    {
        var end = await _flows.EndOfAsync(await _flows.StartAsync(nameof(F.Fails)));

        Assert.Equal(OrchestrationRuntimeStatus.Failed, end.RuntimeStatus);
        Assert.Contains("refused: unhandled", end.FailureDetails!.ErrorMessage, StringComparison.Ordinal);
        Assert.Contains("refused: unhandled", end.FailureDetails.InnerFailure!.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_an_orchestrator_throws_is_told_in_its_state()
    {
        var end = await _flows.EndOfAsync(await _flows.StartAsync(nameof(F.Fails), "itself"));

        Assert.Equal(OrchestrationRuntimeStatus.Failed, end.RuntimeStatus);
        Assert.Equal("thrown by the orchestrator", end.FailureDetails!.ErrorMessage);
    }

    [Fact]
    public async Task A_call_of_what_does_not_exist_fails_and_is_not_retried() =>
        Assert.Equal("NoSuchActivity failed", await _flows.ResultOfAsync<string>(nameof(F.CallsWhatIsNotThere)));

    [Fact]
    public async Task An_orchestrator_that_does_not_exist_fails()
    {
        var end = await _flows.EndOfAsync(await _flows.StartAsync("NoSuchOrchestrator"));

        Assert.Equal(OrchestrationRuntimeStatus.Failed, end.RuntimeStatus);
        Assert.Contains("NoSuchOrchestrator", end.FailureDetails!.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_retry_policy_waits_by_growing_pauses_up_to_its_longest()
    {
        var id = await _flows.StartAsync(nameof(F.RetriesByPolicy));
        await Eventually.True(() => _flows.Probe.Count(id) == 1, "the first attempt");

        await _flows.AdvanceAsync(TimeSpan.FromHours(12));

        // One, three, and five instead of nine.
        Assert.Equal("done after 9 hours", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Theory]
    [InlineData(3, "gave up: failure 3")]
    [InlineData(9, "done")]
    public async Task A_retry_handler_decides_and_may_wait(int attempts, string result)
    {
        var id = await _flows.StartAsync(nameof(F.RetriesByHandler), attempts);
        await Eventually.True(() => _flows.Probe.Count(id) == 1, "the first attempt");

        await _flows.AdvanceAsync(TimeSpan.FromHours(1));

        Assert.Equal(result, (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
    }

    [Theory]
    [InlineData("hopeless", "0 hours", 1)]
    [InlineData("try again", "3 hours", 4)]
    public async Task Retries_end_when_the_failure_is_not_worth_it_or_the_time_is_over(string why, string result, int attempts)
    {
        var id = await _flows.StartAsync(nameof(F.Stops), why);
        await Eventually.True(() => _flows.Probe.Count($"refuse {why}") == 1, "the first attempt");

        await _flows.AdvanceAsync(TimeSpan.FromHours(12));

        Assert.Equal(result, (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
        Assert.Equal(attempts, _flows.Probe.Count($"refuse {why}"));
    }

    [Theory]
    [InlineData(nameof(F.Sequence), "sub said x0x1x2")]
    [InlineData(nameof(F.Fails), "Fails: Task 'Refuse' (#0) failed with an unhandled exception: refused: unhandled")]
    public async Task A_sub_orchestration_answers_its_parent(string sub, string result) =>
        Assert.Equal(result, await _flows.ResultOfAsync<string>(nameof(F.CallsSub), sub));

    [Fact]
    public async Task A_sub_orchestration_knows_its_parent_and_has_the_id_that_it_was_given()
    {
        var id = await _flows.StartAsync(nameof(F.CallsSub), nameof(F.NamesItsParent), "parent/1");

        Assert.Equal("sub said NamesItsParent of CallsSub parent/1", (await _flows.EndOfAsync(id)).ReadOutputAs<string>());
        Assert.Equal(nameof(F.NamesItsParent), (await _flows.NowAsync("parent/1-sub")).Name);
    }

    [Fact]
    public async Task Ids_and_the_clock_are_the_same_in_every_replay() => Assert.True(await _flows.ResultOfAsync<bool>(nameof(F.Ids)));

    [Fact]
    public async Task A_history_tells_what_was_called_and_what_came_back()
    {
        var id = await _flows.StartAsync(nameof(F.Sequence), "h");
        await _flows.EndOfAsync(id);

        var history = await _flows.Client.GetOrchestrationHistoryAsync(id);

        Assert.Equal(["\"h0\"", "\"h1\"", "\"h2\""], history.OfType<DurableTask.Core.History.TaskCompletedEvent>().Select(e => e.Result));
        Assert.Equal([0, 1, 2], history.OfType<DurableTask.Core.History.TaskScheduledEvent>().Select(e => e.EventId));
        Assert.Single(history.OfType<DurableTask.Core.History.ExecutionCompletedEvent>());
    }
}
