using CsCheck;
using Harbour.Foundation;
using Harbour.Subscriptions;

namespace Harbour.Tests.Subscriptions;

public sealed class IntervalTests
{
    private static readonly Gen<DateTimeOffset> AnyAnchor =
        Gen.Long[0, 3_000_000_000_000].Select(milliseconds => DateTimeOffset.FromUnixTimeMilliseconds(1_577_836_800_000 + milliseconds));

    private static readonly Gen<Interval> AnyInterval =
        from unit in Gen.Enum<IntervalUnit>()
        from count in Gen.Int[1, Interval.MaxCount(unit)]
        select new Interval(unit, count);

    [Theory]
    [InlineData("2027-01-31", IntervalUnit.Month, 1, "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31")]
    [InlineData("2028-01-31", IntervalUnit.Month, 1, "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31")]
    [InlineData("2027-01-30", IntervalUnit.Month, 1, "2027-02-28", "2027-03-30", "2027-04-30", "2027-05-30")]
    [InlineData("2026-11-30", IntervalUnit.Month, 3, "2027-02-28", "2027-05-30", "2027-08-30", "2027-11-30")]
    [InlineData("2028-02-29", IntervalUnit.Year, 1, "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29")]
    [InlineData("2026-12-30", IntervalUnit.Day, 1, "2026-12-31", "2027-01-01", "2027-01-02", "2027-01-03")]
    [InlineData("2028-02-28", IntervalUnit.Day, 2, "2028-03-01", "2028-03-03", "2028-03-05", "2028-03-07")]
    [InlineData("2026-12-25", IntervalUnit.Week, 2, "2027-01-08", "2027-01-22", "2027-02-05", "2027-02-19")]
    public void Periods_end_where_the_calendar_says(string from, IntervalUnit unit, int count, params string[] ends)
    {
        var anchor = At(from);
        Assert.Equal(ends.Select(At), Enumerable.Range(1, ends.Length).Select(n => new Interval(unit, count).After(anchor, n)));
    }

    [Fact]
    public void The_civil_day_is_Hong_Kongs_and_not_that_of_UTC()
    {
        // 17:30 UTC on 30 January is 01:30 on 31 January in Hong Kong.
        var anchor = new DateTimeOffset(2027, 1, 30, 17, 30, 0, TimeSpan.Zero);
        Assert.Equal(new DateTimeOffset(2027, 2, 28, 1, 30, 0, HongKong.Offset), new Interval(IntervalUnit.Month, 1).After(anchor, 1));
        Assert.Equal(new DateTimeOffset(2027, 3, 31, 1, 30, 0, HongKong.Offset), new Interval(IntervalUnit.Month, 1).After(anchor, 2));
    }

    [Fact]
    public void Each_boundary_lies_after_the_one_before_and_keeps_the_time_of_day() =>
        Gen.Select(AnyAnchor, AnyInterval, Gen.Int[0, 60]).Sample((anchor, interval, n) =>
        {
            var (start, end) = (interval.After(anchor, n), interval.After(anchor, n + 1));
            return start < end && end.TimeOfDay == HongKong.Time(anchor).TimeOfDay && end.Offset == HongKong.Offset;
        });

    [Fact]
    public void A_boundary_of_months_has_the_anchors_day_or_the_last_of_its_month() =>
        Gen.Select(AnyAnchor, Gen.Int[1, 36], Gen.Int[0, 60]).Sample((anchor, count, n) =>
        {
            var (day, end) = (HongKong.Time(anchor).Day, new Interval(IntervalUnit.Month, count).After(anchor, n));
            return end.Day == Math.Min(day, DateTime.DaysInMonth(end.Year, end.Month));
        });

    [Fact]
    public void Twelve_months_are_a_year_and_seven_days_a_week() =>
        Gen.Select(AnyAnchor, Gen.Int[0, 30]).Sample((anchor, n) =>
            new Interval(IntervalUnit.Year, 1).After(anchor, n) == new Interval(IntervalUnit.Month, 12).After(anchor, n)
            && new Interval(IntervalUnit.Week, 1).After(anchor, n) == new Interval(IntervalUnit.Day, 7).After(anchor, n));

    [Fact]
    public void No_period_has_passed_at_the_anchor() =>
        Gen.Select(AnyAnchor, AnyInterval).Sample((anchor, interval) => interval.After(anchor, 0) == anchor);

    private static DateTimeOffset At(string date) => new(DateTime.ParseExact(date, "yyyy-MM-dd", null).AddHours(9), HongKong.Offset);
}
