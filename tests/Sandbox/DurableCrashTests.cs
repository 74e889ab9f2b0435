using Azure.Data.Tables;
using Harbour.Sandbox.Durable;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;
using F = Harbour.Tests.Sandbox.DurableTestFlows;

namespace Harbour.Tests.Sandbox;

/// <summary>What is left when a host goes, in order or not, and what the next one makes of it.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DurableCrashTests(SandboxFixture sandbox)
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_orchestration_goes_on_in_the_next_host_and_repeats_at_most_the_activity_that_ran(bool abandoned)
    {
        var storage = sandbox.NewStorage();
        var first = await DurableTestHost.StartAsync(sandbox, storage);
        var id = await first.StartAsync(nameof(F.Held));
        await Eventually.True(() => first.Probe.Count("at the door") == 1, "in the midst of it");
        if (abandoned) first.Host.Services.GetRequiredService<DurableEngine>().Abandon();
        else await StopAsync(first);

        await using var second = await DurableTestHost.StartAsync(sandbox, storage, new Probe());
        second.Probe.Door.SetResult();

        Assert.Equal("through", (await second.EndOfAsync(id)).ReadOutputAs<string>());
        Assert.Equal((1, 0), (first.Probe.Count("before"), second.Probe.Count("before")));
        Assert.Equal((1, 1), (second.Probe.Count("at the door"), second.Probe.Count("after")));
        if (abandoned) await StopAsync(first);
    }

    [Fact]
    public async Task Timers_waits_and_what_came_meanwhile_outlive_the_host()
    {
        var storage = sandbox.NewStorage();
        string sleeping, waiting, suspended;
        await using (var first = await DurableTestHost.StartAsync(sandbox, storage))
        {
            sleeping = await first.StartAsync(nameof(F.WaitsUntil), 31);
            waiting = await first.StartAsync(nameof(F.WaitsLate));
            suspended = await first.StartAsync(nameof(F.WaitsForGo));
            foreach (var id in new[] { sleeping, waiting, suspended }) await first.StartedAsync(id);
            await first.Client.SuspendInstanceAsync(suspended);
            await first.Client.RaiseEventAsync(suspended, "go", "kept");
            await first.Client.RaiseEventAsync(waiting, "go", "early");
        }

        await using var second = await DurableTestHost.StartAsync(sandbox, storage);
        await second.Client.RaiseEventAsync(waiting, "go", "late");
        await second.Client.ResumeInstanceAsync(suspended);
        await second.AdvanceAsync(TimeSpan.FromDays(32));

        Assert.Equal(OrchestrationRuntimeStatus.Completed, (await second.EndOfAsync(sleeping)).RuntimeStatus);
        Assert.Equal("earlylate", (await second.EndOfAsync(waiting)).ReadOutputAs<string>());
        Assert.Equal("kept", (await second.EndOfAsync(suspended)).ReadOutputAs<string>());
    }

    [Fact]
    public async Task Sub_orchestrations_and_events_between_instances_survive_a_host_that_never_delivered_them()
    {
        var storage = sandbox.NewStorage();
        string parent, waiting, sender;
        var first = await DurableTestHost.StartAsync(sandbox, storage);
        waiting = await first.StartAsync(nameof(F.WaitsForGo));
        await first.StartedAsync(waiting);
        first.Host.Services.GetRequiredService<DurableEngine>().Abandon(beforeDelivery: true);
        parent = await first.StartAsync(nameof(F.CallsSub), nameof(F.Sequence));
        sender = await first.StartAsync(nameof(F.SendsGo), waiting);
        await Eventually.True(async () => await OutboxesAsync(storage) == 2, "both have written what they send");
        first.Host.Services.GetRequiredService<DurableEngine>().Abandon();

        await using var second = await DurableTestHost.StartAsync(sandbox, storage);

        Assert.Equal("sub said x0x1x2", (await second.EndOfAsync(parent)).ReadOutputAs<string>());
        Assert.Equal("from SendsGo", (await second.EndOfAsync(waiting)).ReadOutputAs<string>());
        Assert.Equal("sent", (await second.EndOfAsync(sender)).ReadOutputAs<string>());
        Assert.Equal(0, await OutboxesAsync(storage));
        await StopAsync(first);
    }

    [Fact]
    public async Task A_message_that_is_delivered_again_is_taken_once()
    {
        var storage = sandbox.NewStorage();
        await using var flows = await DurableTestHost.StartAsync(sandbox, storage);
        var id = await flows.StartAsync(nameof(F.Collects));
        await flows.StartedAsync(id);
        var store = new DurableStore(storage);
        var message = new Message(Keys.InboxRow(flows.Host.Clock.GetUtcNow(), "sender-7"), null, new DurableTask.Core.History.EventRaisedEvent(-1, "\"once\"") { Name = "item" });

        await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => store.PutAsync(id, message, CancellationToken.None)));
        flows.Host.Services.GetRequiredService<DurableEngine>().Look(id);
        await Eventually.True(async () => (await flows.NowAsync(id)).SerializedInput == """["once"]""", "it is taken in");
        foreach (var item in new[] { "b", "c", "d", "e" }) await flows.Client.RaiseEventAsync(id, "item", item);

        Assert.Equal(["once", "b", "c", "d", "e"], (await flows.EndOfAsync(id)).ReadOutputAs<string[]>()!);
    }

    [Fact]
    public async Task Nothing_is_left_of_a_purged_instance()
    {
        var storage = sandbox.NewStorage();
        await using var flows = await DurableTestHost.StartAsync(sandbox, storage);
        await flows.EndOfAsync(await flows.StartAsync(nameof(F.FanOut), 200, "large"));

        await flows.Client.PurgeInstanceAsync("large");

        Assert.Empty(await new TableClient(storage, "durable").QueryAsync<TableEntity>(r => r.PartitionKey == "large").ToListAsync());
    }

    private static async Task<int> OutboxesAsync(string storage) =>
        (await new TableClient(storage, "durable").QueryAsync<TableEntity>("RowKey ge 'out|' and RowKey lt 'out}'").ToListAsync()).Count;

    private static async Task StopAsync(DurableTestHost host)
    {
        host.Probe.Door.TrySetResult();
        await host.DisposeAsync();
    }
}
