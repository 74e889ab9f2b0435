using System.Diagnostics;
using Xunit.Abstractions;

namespace Harbour.Tests.Simulation;

/// <summary>Subscriptions that renew, and are paused, resumed and cancelled, while things go wrong and processes die.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class RenewalSimulationTests(ITestOutputHelper output)
{
    private const int SecondsInCi = 60;

    [Fact]
    public async Task No_seed_charges_twice_early_or_not_at_all()
    {
        var clock = Stopwatch.StartNew();
        var (runs, kills, invoices) = (0, 0, 0);
        await foreach (var run in Lanes.RunAllAsync(Lanes.Seeds(clock, SecondsInCi), RenewalSimulation.RunAsync, run => run.Violations.Count > 0))
        {
            (runs, kills, invoices) = (runs + 1, kills + run.Kills, invoices + run.Invoices);
            Assert.True(run.Violations.Count == 0, run.ToString());
        }

        output.WriteLine($"{runs} runs, {kills} kills, {invoices} invoices, {clock.Elapsed.TotalSeconds:F0} s");
        Assert.True(runs > 0);
    }
}
