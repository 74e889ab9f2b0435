using Harbour.Foundation;

namespace Harbour.Subscriptions;

public enum IntervalUnit { Day, Week, Month, Year }

/// <summary>
/// How long a billing period is. Periods are counted in Hong Kong civil time, each from the anchor and not from the one before: a month
/// from 31 January ends on the last day of February, and the next one on 31 March. A year from 29 February ends on 28 February.
/// </summary>
/// <param name="Count">How many units one period has: at least one, and no more than three years.</param>
public sealed record Interval(IntervalUnit Unit, int Count)
{
    /// <summary>The most units of a period: three years of each, as Stripe has it.</summary>
    public static int MaxCount(IntervalUnit unit) => unit switch
    {
        IntervalUnit.Day => 1095,
        IntervalUnit.Week => 156,
        IntervalUnit.Month => 36,
        _ => 3,
    };

    /// <summary>The moment at which so many periods have passed since the anchor; the anchor itself for zero.</summary>
    public DateTimeOffset After(DateTimeOffset anchor, int periods)
    {
        var from = HongKong.Time(anchor).DateTime;
        var units = checked(periods * Count);
        var to = Unit switch
        {
            IntervalUnit.Day => from.AddDays(units),
            IntervalUnit.Week => from.AddDays(checked(units * 7)),
            IntervalUnit.Month => from.AddMonths(units),
            _ => from.AddMonths(checked(units * 12)),
        };
        return new DateTimeOffset(to, HongKong.Offset);
    }
}
