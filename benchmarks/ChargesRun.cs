using System.Diagnostics;
using Harbour.Sandbox;

namespace Harbour.Benchmarks;

/// <summary>
/// Measures POST /v1/charges beside its floor: in one process, on one Azurite and one simulated Stripe, in short turns, so that
/// whatever else the machine does meets both sides alike. What is quoted is the ratio of the two.
/// </summary>
public static class ChargesRun
{
    private static readonly TimeSpan Turn = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(5);
    private const int WarmUpConcurrency = 16;
    private static readonly int[] Percentiles = [50, 95, 99];

    private sealed record Side(Func<Task> Call, Wire Wire)
    {
        public List<Round> Rounds { get; } = [];
        public Traffic Traffic { get; set; } = new(0, 0, 0, 0, 0, 0, 0, 0);
    }

    public static async Task RunAsync(TimeSpan time, int[] levels)
    {
        var (wire, floorWire) = (new Wire(), new Wire());
        await using var host = await SandboxHost.StartAsync(Host.Watched(wire));
        using var client = new Client(host.BaseAddress, "sk_test_harbour_demo");
        await client.ChargeAsync();

        var recording = wire.Recording = new Recording();
        var charge = await client.ChargeAsync();
        wire.Recording = null;
        using var floor = new Floor(recording, charge, host.StorageConnectionString, floorWire);
        Describe(recording);

        // Until the compiler has done its work, what is measured is the compiler.
        await TakeTurnAsync(new Side(floor.RunAsync, floorWire), WarmUpConcurrency, WarmUp);
        await TakeTurnAsync(new Side(client.ChargeAsync, wire), WarmUpConcurrency, WarmUp);

        var pairs = Math.Max(1, (int)(time / levels.Length / (2 * Turn)));
        foreach (var concurrency in levels)
        {
            var (below, harbour) = (new Side(floor.RunAsync, floorWire), new Side(client.ChargeAsync, wire));
            for (var pair = 0; pair < pairs; pair++)
            {
                // Who is first changes, so that a drift favours neither.
                var (first, second) = pair % 2 == 0 ? (below, harbour) : (harbour, below);
                await TakeTurnAsync(first, concurrency, Turn);
                await TakeTurnAsync(second, concurrency, Turn);
            }

            Print(concurrency, below, harbour);
        }
    }

    private static async Task TakeTurnAsync(Side side, int concurrency, TimeSpan turn)
    {
        // What the other side left behind is cleared away at nobody's cost.
        GC.Collect();
        var before = side.Wire.Traffic;
        var started = Stopwatch.GetTimestamp();
        var took = await Task.WhenAll(Enumerable.Range(0, concurrency).Select(_ => Task.Run(CallAsync)));
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        side.Rounds.Add(new Round([.. took.SelectMany(t => t).Order()], seconds));
        side.Traffic += side.Wire.Traffic - before;

        async Task<List<double>> CallAsync()
        {
            var mine = new List<double>();
            do
            {
                var began = Stopwatch.GetTimestamp();
                await side.Call();
                mine.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            }
            while (Stopwatch.GetElapsedTime(started) < turn);
            return mine;
        }
    }

    private static void Describe(Recording recording) => Report.Table(
        "What a charge stores and sends; the floor does the same",
        [
            ["", "rows", "bytes", "kinds"],
            .. recording.Transactions.Select((t, i) => (string[])
            [
                $"commit {(char)('A' + i)}", $"{t.Actions.Count}", $"{t.Bytes}",
                string.Join(", ", t.Actions.GroupBy(a => a.Kind).Select(g => $"{g.Count()} {g.Key}")),
            ]),
            .. recording.ProviderCalls.Select(c => (string[])["provider call", "", $"{c.Form.Length}", "1 POST"]),
        ]);

    private static void Print(int concurrency, Side below, Side harbour)
    {
        var (low, high) = (Round.All(below.Rounds), Round.All(harbour.Rounds));
        Report.Table($"Concurrency {concurrency}: {harbour.Rounds.Count} turns of each side, {low.Took.Length} and {high.Took.Length} calls",
        [
            ["", "floor", "Harbour", "ratio (lowest to highest turn)"],
            .. Percentiles.Select(p => (string[])
            [
                $"p{p}, ms", $"{low.Percentile(p):F1}", $"{high.Percentile(p):F1}", $"{Compare(r => r.Percentile(p))}",
            ]),
            ["calls per second", $"{low.PerSecond:F0}", $"{high.PerSecond:F0}", $"{Compare(r => r.PerSecond)}"],
        ]);

        var (l, h, calls) = (below.Traffic, harbour.Traffic, (Low: (double)low.Took.Length, High: (double)high.Took.Length));
        Report.Table("Of which, per call: how often, and ms on average",
            ["", "floor", "", "Harbour", ""],
            ["storage reads", .. Part(l.Reads, l.ReadMs, calls.Low), .. Part(h.Reads, h.ReadMs, calls.High)],
            ["storage transactions", .. Part(l.Transactions, l.TransactionMs, calls.Low), .. Part(h.Transactions, h.TransactionMs, calls.High)],
            ["other storage calls", $"{l.Others / calls.Low:F2}", "", $"{h.Others / calls.High:F2}", ""],
            ["provider calls", .. Part(l.Provider, l.ProviderMs, calls.Low), .. Part(h.Provider, h.ProviderMs, calls.High)],
            ["all else", "", $"{Rest(low, l):F2}", "", $"{Rest(high, h):F2}"]);

        Ratio Compare(Func<Round, double> of) => Ratio.Of(below.Rounds.Zip(harbour.Rounds, (floor, ours) => of(ours) / of(floor)));
        static string[] Part(long count, double ms, double calls) => [$"{count / calls:F2}", $"{ms / calls:F2}"];
        static double Rest(Round round, Traffic traffic) => round.Took.Average() - (traffic.ReadMs + traffic.TransactionMs + traffic.ProviderMs) / round.Took.Length;
    }
}
