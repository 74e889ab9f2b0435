using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using Harbour.Sandbox;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;

namespace Harbour.Tests.Simulation;

/// <summary>
/// Runs seeds. SIMULATION_SEED replays one; SIMULATION_SEEDS says how many, and SIMULATION_MINUTES for how long, from a first seed
/// that SIMULATION_FROM may name. See the README beside this file.
/// </summary>
[Collection(nameof(UsesSandbox))]
public sealed class SimulationTests(ITestOutputHelper output)
{
    /// <summary>Without being asked for more: so many, or as many as there is time for.</summary>
    private const int SeedsInCi = 300, SecondsInCi = 115;

    /// <summary>How often a seed is replayed, since the machine orders things its own way.</summary>
    private const int Replays = 25;

    /// <summary>Most of a run is waiting, so more lanes than processors are kept busy.</summary>
    private const int Lanes = 8;

    /// <summary>Azurite slows down with the rows it holds, so a lane moves to an empty storage after so many runs.</summary>
    private const int RunsPerStorage = 25, StoragesPerAzurite = 100;

    [Fact]
    public async Task No_seed_breaks_a_promise()
    {
        var clock = Stopwatch.StartNew();
        var (runs, kills, heard) = (0, 0, 0);
        await foreach (var run in RunAllAsync(Seeds(clock)))
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

    private static IEnumerable<int> Seeds(Stopwatch clock)
    {
        if (Read("SIMULATION_SEED") is { } seed) return Enumerable.Repeat(seed, Replays);
        var from = Read("SIMULATION_FROM") ?? 1;
        return Read("SIMULATION_MINUTES") is { } minutes
            ? Enumerable.Range(from, int.MaxValue - from).TakeWhile(_ => clock.Elapsed.TotalMinutes < minutes)
            : Read("SIMULATION_SEEDS") is { } seeds ? Enumerable.Range(from, seeds)
            : Enumerable.Range(from, SeedsInCi).TakeWhile(_ => clock.Elapsed.TotalSeconds < SecondsInCi);
    }

    private static int? Read(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    /// <summary>Deals the seeds out to the lanes, and stops at the first that breaks a promise.</summary>
    private static async IAsyncEnumerable<Run> RunAllAsync(IEnumerable<int> seeds)
    {
        using var dealer = new Dealer(seeds);
        while (!dealer.IsDone)
        {
            var accounts = Enumerable.Range(1, StoragesPerAzurite).Select(n => $"simulation{n}").ToList();
            await using var azurite = await Azurite.StartInMemoryAsync(accounts, NullLogger.Instance, CancellationToken.None);
            var storages = new ConcurrentQueue<string>(accounts.Select(azurite.ConnectionStringFor));
            var done = Channel.CreateUnbounded<Run>();
            _ = Task.WhenAll(Enumerable.Range(0, Lanes).Select(_ => Task.Run(() => RunLaneAsync(dealer, storages, done.Writer))))
                .ContinueWith(lanes => done.Writer.Complete(lanes.Exception), TaskScheduler.Default);
            await foreach (var run in done.Reader.ReadAllAsync()) yield return run;
        }
    }

    private static async Task RunLaneAsync(Dealer dealer, ConcurrentQueue<string> storages, ChannelWriter<Run> done)
    {
        while (!dealer.IsDone && storages.TryDequeue(out var storage))
        {
            await using var world = await World.StartAsync(storage);
            for (var i = 0; i < RunsPerStorage && dealer.TryDeal(out var seed); i++)
            {
                var run = await RunAsync(world, seed);
                if (run.Violations.Count > 0) dealer.Stop();
                await done.WriteAsync(run);
            }
        }
    }

    private static async Task<Run> RunAsync(World world, int seed)
    {
        try
        {
            return await Simulation.RunAsync(world, seed);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"Seed {seed} could not be run to its end.", e);
        }
    }

    /// <summary>Hands the seeds out one by one, to whichever lane is free.</summary>
    private sealed class Dealer(IEnumerable<int> seeds) : IDisposable
    {
        private readonly Lock gate = new();
        private readonly IEnumerator<int> next = seeds.GetEnumerator();

        public bool IsDone { get; private set; }

        public bool TryDeal(out int seed)
        {
            lock (gate)
            {
                if (!IsDone) IsDone = !next.MoveNext();
                seed = IsDone ? 0 : next.Current;
                return !IsDone;
            }
        }

        public void Stop()
        {
            lock (gate) IsDone = true;
        }

        public void Dispose() => next.Dispose();
    }
}
