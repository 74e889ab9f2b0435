using System.Globalization;

namespace Harbour.Tests.Simulation;

/// <param name="Interval">day, week or month.</param>
internal sealed record PlannedSubscription(string Token, string Interval, int TrialDays);

/// <summary>The clock moves on, and then somebody changes a subscription, or nobody does.</summary>
/// <param name="Change">pause, resume, cancel, or end, which is to cancel at the period's end.</param>
internal sealed record Move(TimeSpan By, int Subscription, string? Change);

/// <summary>What the subscribers of one run will live through: all of it decided by the seed before anything runs.</summary>
/// <param name="Kills">After how many calls of its timers and orchestrations each process is killed, one after the other.</param>
internal sealed record RenewalPlan(
    int Seed, IReadOnlyList<PlannedSubscription> Subscriptions, IReadOnlyList<Move> Moves, double StorageRate, double ProviderRate, IReadOnlyList<int> Kills)
{
    private static readonly string[] Tokens =
        ["tok_visa", "tok_visa", "tok_visa", "tok_recurring_fails_1", "tok_recurring_fails_2", "tok_recurring_fails_3", "tok_recurring_fails_9", "tok_recurring_stolen"];

    private static readonly string[] Intervals = ["day", "week", "week", "month", "month"];

    public static RenewalPlan Of(int seed)
    {
        var random = new Random(seed);
        PlannedSubscription[] subscriptions = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => new PlannedSubscription(
            Tokens[random.Next(Tokens.Length)], Intervals[random.Next(Intervals.Length)], random.Next(4) == 0 ? random.Next(1, 15) : 0))];
        Move[] moves = [.. Enumerable.Range(0, random.Next(3, 9)).Select(_ => new Move(
            random.Next(3) == 0 ? TimeSpan.FromMinutes(random.Next(1, 180)) : TimeSpan.FromHours(random.Next(1, 250)),
            random.Next(subscriptions.Length),
            random.Next(10) switch { 0 or 1 => "pause", 2 or 3 => "resume", 4 => "cancel", 5 => "end", _ => null }))];
        var calm = random.Next(4) == 0;
        int[] kills = [.. Enumerable.Range(0, random.Next(4)).Select(_ => random.Next(20, 600))];
        return new RenewalPlan(seed, subscriptions, moves, calm ? 0 : 0.04 * random.NextDouble(), calm ? 0 : 0.25 * random.NextDouble(), kills);
    }

    /// <summary>The faults while the next kill, if one is left, is still to come: after so many calls, or sooner where a payment is asked for.</summary>
    public FaultPlan Faults(int killed) => new(
        Seed, StorageRate, ProviderRate, 0, killed < Kills.Count ? new HashSet<(string, int)> { (Process.Timers, Kills[killed]) } : [],
        providerKillRate: killed < Kills.Count ? 0.3 : 0);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"""
          storage fails {StorageRate:P1}, the provider {ProviderRate:P1}, kills after {string.Join(", ", Kills)} calls
          {string.Join("\n  ", Subscriptions.Select((s, i) => $"subscription {i}: {s.Token} each {s.Interval}, trial of {s.TrialDays} days"))}
          {string.Join("\n  ", Moves.Select(m => $"after {m.By}: {(m.Change is null ? "nothing" : $"{m.Change} {m.Subscription}")}"))}
        """);
}
