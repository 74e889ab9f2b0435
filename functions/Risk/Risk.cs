using System.Collections.Immutable;
using Harbour.Foundation;

namespace Harbour.Risk;

public enum RiskDecision { Approve, Challenge, Block }

/// <summary>How risky a payment looks before it is sent.</summary>
/// <param name="Score">0 to 1; 1 is certain fraud.</param>
/// <param name="Reasons">The names of the rules that added to the score.</param>
public sealed record RiskAssessment(decimal Score, RiskDecision Decision, ImmutableArray<string> Reasons);

/// <summary>
/// Rules over what the request itself shows. Each rule that holds adds its weight; the sum decides: from 0.75 the payer is
/// challenged, from 0.95 the payment is blocked.
/// </summary>
public static class RiskRules
{
    private const decimal ChallengeFrom = 0.75m;
    private const decimal BlockFrom = 0.95m;

    /// <summary>What counts as a high amount, in minor units: about HK$50,000.</summary>
    private static readonly Dictionary<Currency, long> HighAmounts = new() { [Currency.HKD] = 5_000_000, [Currency.USD] = 640_000, [Currency.CNY] = 4_600_000 };

    public static RiskAssessment Assess(Money amount, string methodType)
    {
        var found = new List<(string Reason, decimal Weight)>();
        if (HighAmounts.TryGetValue(amount.Currency, out var high) && amount.Minor >= high)
            found.Add(("high_amount", methodType == "card" ? 0.3m : 0.15m));
        return Decide(found);
    }

    /// <summary>Adds up what the rules found.</summary>
    internal static RiskAssessment Decide(IReadOnlyCollection<(string Reason, decimal Weight)> found)
    {
        var score = Math.Min(1m, found.Sum(f => f.Weight));
        var decision = score >= BlockFrom ? RiskDecision.Block : score >= ChallengeFrom ? RiskDecision.Challenge : RiskDecision.Approve;
        return new RiskAssessment(score, decision, [.. found.Select(f => f.Reason)]);
    }
}
