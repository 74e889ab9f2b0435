using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using Harbour.Sandbox;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Tests.Simulation;

/// <summary>
/// Deals seeds out to lanes, each with a world of its own. SIMULATION_SEED replays one; SIMULATION_SEEDS says how many, and
/// SIMULATION_MINUTES for how long, from a first seed that SIMULATION_FROM may name. See the README beside this file.
/// </summary>
internal static class Lanes
{
    /// <summary>Without being asked for more, so many seeds are run, or as many as there is time for.</summary>
    private const int SeedsInCi = 300;

    /// <summary>How often a seed is replayed, since the machine orders things its own way.</summary>
    private const int Replays = 25;

    /// <summary>Most of a run is waiting, so more lanes than processors are kept busy.</summary>
    private const int Count = 8;

    /// <summary>Azurite slows down with the rows it holds, so a lane moves to an empty storage after so many runs.</summary>
    private const int RunsPerStorage = 25, StoragesPerAzurite = 100;

    public static IEnumerable<int> Seeds(Stopwatch clock, int secondsInCi)
    {
        if (Read("SIMULATION_SEED") is { } seed) return Enumerable.Repeat(seed, Replays);
        var from = Read("SIMULATION_FROM") ?? 1;
        return Read("SIMULATION_MINUTES") is { } minutes
            ? Enumerable.Range(from, int.MaxValue - from).TakeWhile(_ => clock.Elapsed.TotalMinutes < minutes)
            : Read("SIMULATION_SEEDS") is { } seeds ? Enumerable.Range(from, seeds)
            : Enumerable.Range(from, SeedsInCi).TakeWhile(_ => clock.Elapsed.TotalSeconds < secondsInCi);
    }

    private static int? Read(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    /// <summary>Runs all seeds, and deals no more after the first that breaks a promise.</summary>
    public static async IAsyncEnumerable<T> RunAllAsync<T>(IEnumerable<int> seeds, Func<World, int, Task<T>> run, Func<T, bool> breaks)
    {
        using var dealer = new Dealer(seeds);
        while (!dealer.IsDone)
        {
            var accounts = Enumerable.Range(1, StoragesPerAzurite).Select(n => $"simulation{n}").ToList();
            await using var azurite = await Azurite.StartInMemoryAsync(accounts, NullLogger.Instance, CancellationToken.None);
            var storages = new ConcurrentQueue<string>(accounts.Select(azurite.ConnectionStringFor));
            var done = Channel.CreateUnbounded<T>();
            _ = Task.WhenAll(Enumerable.Range(0, Count).Select(_ => Task.Run(() => RunLaneAsync(dealer, storages, done.Writer, run, breaks))))
                .ContinueWith(lanes => done.Writer.Complete(lanes.Exception), TaskScheduler.Default);
            await foreach (var one in done.Reader.ReadAllAsync()) yield return one;
        }
    }

    private static async Task RunLaneAsync<T>(Dealer dealer, ConcurrentQueue<string> storages, ChannelWriter<T> done, Func<World, int, Task<T>> run, Func<T, bool> breaks)
    {
        while (!dealer.IsDone && storages.TryDequeue(out var storage))
        {
            await using var world = await World.StartAsync(storage);
            for (var i = 0; i < RunsPerStorage && dealer.TryDeal(out var seed); i++)
            {
                var one = await RunAsync(world, seed, run);
                if (breaks(one)) dealer.Stop();
                await done.WriteAsync(one);
            }
        }
    }

    private static async Task<T> RunAsync<T>(World world, int seed, Func<World, int, Task<T>> run)
    {
        try
        {
            return await run(world, seed);
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
