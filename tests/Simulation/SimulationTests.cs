using System.Diagnostics;
using Xunit.Abstractions;

namespace Harbour.Tests.Simulation;

/// <summary>Merchants who charge, capture, cancel and refund while things go wrong.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class SimulationTests(ITestOutputHelper output)
{
    private const int SecondsInCi = 90;

    [Fact]
    public async Task No_seed_breaks_a_promise()
    {
        var clock = Stopwatch.StartNew();
        var (runs, kills, heard) = (0, 0, 0);
        await foreach (var run in Lanes.RunAllAsync(Lanes.Seeds(clock, SecondsInCi), Simulation.RunAsync, run => run.Violations.Count > 0))
        {
            (runs, kills, heard) = (runs + 1, kills + run.Kills, heard + run.Heard.Count);
            Assert.True(run.Violations.Count == 0, run.ToString());
        }

        output.WriteLine($"{runs} runs, {kills} kills, {heard} requests, {clock.Elapsed.TotalSeconds:F0} s");
        Assert.True(runs > 0);
    }

    [Fact]
    public void A_seed_is_always_the_same_plan()
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var (one, other) = (Workload.Plan(seed), Workload.Plan(seed));
            Assert.Equal(one.Describe(), other.Describe());
            Assert.All(one.Steps, step => Assert.Equal(
                Enumerable.Range(0, 20).Select(call => (one.Faults.Storage(step.Key, call), one.Faults.Provider(step.Key, call))),
                Enumerable.Range(0, 20).Select(call => (other.Faults.Storage(step.Key, call), other.Faults.Provider(step.Key, call)))));
        }
    }
}
