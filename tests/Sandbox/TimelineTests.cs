using System.Net.Http.Json;
using Harbour.Sandbox;

namespace Harbour.Tests.Sandbox;

[Collection(nameof(UsesSandbox))]
public sealed class TimelineTests(SandboxFixture sandbox)
{
    private static readonly TimeSpan HongKong = TimeSpan.FromHours(8);

    [Fact]
    public async Task An_advance_runs_sources_at_their_own_times_and_timers_once_at_each_stop()
    {
        var probe = new Probe();
        var first = new Agenda("first", probe);
        var second = new Agenda("second", probe);
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [typeof(TimerTestFunctions)], first, second));
        var start = await GoToHalfPastMidnightAsync(host);
        first.Add(start.AddMinutes(75), "a");
        second.Add(start.AddMinutes(75), "b");
        second.Add(start.AddMinutes(65), "c", () => second.Add(start.AddMinutes(100), "made by c"));
        first.Add(start.AddHours(80), "too late");
        var seenBefore = probe.Seen.Count;

        await AdvanceAsync(host, "72:00:00");

        var day = start.Day;
        string On(int days, string what) => $"{start.AddDays(days).Day}.{what}";
        Assert.Equal(
            [
                $"{day}.01:35 second c", $"{day}.01:35 Hourly",
                // No full hour lies between these stops: the timer has nothing to make up for.
                $"{day}.01:45 first a", $"{day}.01:45 second b",
                $"{day}.02:10 second made by c", $"{day}.02:10 Hourly",
                On(1, "00:00 Hourly"), On(1, "00:00 Midnight"),
                On(2, "00:00 Hourly"), On(2, "00:00 Midnight"),
                On(3, "00:00 Hourly"), On(3, "00:00 Midnight"),
            ],
            probe.Seen.Skip(seenBefore).Where(s => !s.StartsWith("before", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Work_that_fails_or_gets_nowhere_does_not_stop_time()
    {
        var probe = new Probe();
        var stuck = new Agenda("stuck", probe) { Keeps = true };
        var fails = new Agenda("fails", probe);
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [typeof(TimerTestFunctions)], stuck, fails));
        var start = host.Clock.GetUtcNow();
        stuck.Add(start.AddHours(1), "x");
        fails.Add(start.AddHours(2), "y", () => throw new InvalidOperationException("as it should"));

        await AdvanceAsync(host, "48:00:00");

        Assert.True(host.Clock.GetUtcNow() >= start.AddHours(48));
        Assert.Contains(probe.Seen, s => s.EndsWith("stuck x", StringComparison.Ordinal));
        Assert.Contains(probe.Seen, s => s.EndsWith("fails y", StringComparison.Ordinal));
        Assert.Contains(probe.Seen, s => s.EndsWith("Midnight", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Work_at_a_stop_may_call_the_host_that_runs_it()
    {
        var probe = new Probe();
        var agenda = new Agenda("agenda", probe);
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [typeof(HttpTestFunctions)], agenda));
        using var client = new HttpClient { BaseAddress = host.BaseAddress };
        agenda.Add(host.Clock.GetUtcNow().AddHours(5), "notify", () => probe.Saw(client.GetStringAsync("/now").GetAwaiter().GetResult()));

        await AdvanceAsync(host, "06:00:00");

        Assert.Equal(1, probe.Count("now"));
    }

    [Fact]
    public async Task Real_time_runs_what_falls_due_by_itself()
    {
        var probe = new Probe();
        var agenda = new Agenda("agenda", probe);
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [], agenda));

        agenda.Add(host.Clock.GetUtcNow().AddMilliseconds(200), "soon");

        await Eventually.True(() => probe.Seen.Any(s => s.EndsWith("agenda soon", StringComparison.Ordinal)), "the work runs");
    }

    [Fact]
    public async Task A_source_that_could_not_say_what_is_due_is_asked_again()
    {
        var probe = new Probe();
        var agenda = new Agenda("agenda", probe) { Unreachable = 1 };
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [], agenda));
        await Eventually.True(() => agenda.Unreachable == 0, "it was asked in vain");

        agenda.Add(host.Clock.GetUtcNow().AddMilliseconds(200), "soon");

        await Eventually.True(() => probe.Seen.Any(s => s.EndsWith("agenda soon", StringComparison.Ordinal)), "the work runs");
    }

    [Fact]
    public async Task A_run_that_was_missed_while_the_host_was_down_is_made_up_once_as_past_due()
    {
        var storage = sandbox.NewStorage();
        await using (await StartAsync(new Probe(), typeof(TimerTestFunctions)))
        {
        }

        await using (var withoutTimers = await StartAsync(new Probe()))
        {
            await AdvanceAsync(withoutTimers, "48:00:00");
        }

        var probe = new Probe();
        await using var host = await StartAsync(probe, typeof(TimerTestFunctions));
        await Eventually.True(() => PastDue() == 1, "the missed run");
        await AdvanceAsync(host, "24:00:00");

        Assert.Equal(1, PastDue());
        Assert.Contains(probe.Seen, s => s.EndsWith("Midnight", StringComparison.Ordinal));

        int PastDue() => probe.Seen.Count(s => s.EndsWith("Midnight past due", StringComparison.Ordinal));
        Task<SandboxHost> StartAsync(Probe probe, params Type[] functions) =>
            sandbox.StartHostAsync(TestApplication.Options(probe, functions) with { Storage = storage });
    }

    /// <summary>Half past midnight is far from the full hours and midnights that the timers wait for, so that real time can't meddle.</summary>
    private static async Task<DateTimeOffset> GoToHalfPastMidnightAsync(SandboxHost host)
    {
        var now = host.Clock.GetUtcNow().ToOffset(HongKong);
        var halfPast = new DateTimeOffset(now.Date, HongKong).AddDays(1).AddMinutes(30);
        var by = halfPast - now;
        await AdvanceAsync(host, $"{(int)by.TotalHours}:{by.Minutes:00}:{by.Seconds:00}");
        return halfPast;
    }

    private static async Task AdvanceAsync(SandboxHost host, string by)
    {
        using var client = new HttpClient { BaseAddress = host.BaseAddress };
        using var response = await client.PostAsJsonAsync("/sandbox/clock/advance", new { by });
        response.EnsureSuccessStatusCode();
    }

    /// <summary>A source whose work is a list of notes, each at its moment.</summary>
    private sealed class Agenda(string name, Probe probe) : DueSource
    {
        private readonly Lock _lock = new();
        private readonly List<(DateTimeOffset Due, string What, Action? Then)> _notes = [];

        public override string Name => name;

        /// <summary>Whether what has run stays on the list.</summary>
        public bool Keeps { get; init; }

        /// <summary>How often it fails to say what is due next, as when storage does not answer.</summary>
        public int Unreachable { get; set; }

        public void Add(DateTimeOffset due, string what, Action? then = null)
        {
            lock (_lock) _notes.Add((due, what, then));
            NotifyChanged();
        }

        public override ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation)
        {
            lock (_lock)
            {
                if (Unreachable > 0 && Unreachable-- > 0) throw new IOException("as it should");
                return ValueTask.FromResult<DateTimeOffset?>(_notes.Count == 0 ? null : _notes.Min(n => n.Due));
            }
        }

        public override Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation)
        {
            List<(DateTimeOffset Due, string What, Action? Then)> due;
            lock (_lock)
            {
                due = [.. _notes.Where(n => n.Due <= now)];
                if (!Keeps) _notes.RemoveAll(n => n.Due <= now);
            }

            foreach (var (_, what, then) in due)
            {
                probe.Saw($"{now.ToOffset(HongKong):d'.'HH:mm} {name} {what}");
                then?.Invoke();
            }

            return Task.CompletedTask;
        }
    }
}
