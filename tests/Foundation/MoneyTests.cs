using CsCheck;
using Harbour.Foundation;

namespace Harbour.Tests.Foundation;

public sealed class MoneyTests
{
    private static readonly Gen<Currency> AnyCurrency = Gen.Int[0, Currency.All.Count - 1].Select(i => Currency.All.ElementAt(i));

    [Fact]
    public void Parts_always_sum_to_the_whole_and_none_is_a_unit_off_its_share() =>
        Gen.Select(Gen.Long[-1_000_000_000_000, 1_000_000_000_000], Gen.Long[0, 1_000_000_000].Array[1, 20], AnyCurrency)
            .Where(t => t.Item2.Sum() > 0)
            .Sample((minor, weights, currency) =>
            {
                var parts = new Money(minor, currency).Allocate(weights);
                var total = weights.Sum();
                return parts.Sum(p => p.Minor) == minor
                    && parts.Zip(weights).All(pair => decimal.Abs(pair.First.Minor - (decimal)minor * pair.Second / total) < 1m)
                    && parts.All(p => p.Currency == currency);
            });

    [Fact]
    public void The_parts_of_a_negative_amount_mirror_those_of_the_positive() =>
        Gen.Select(Gen.Long[0, 1_000_000_000], Gen.Long[0, 1000].Array[1, 8]).Where(t => t.Item2.Sum() > 0).Sample((minor, weights) =>
            new Money(-minor, Currency.HKD).Allocate(weights).Select(p => -p.Minor).SequenceEqual(new Money(minor, Currency.HKD).Allocate(weights).Select(p => p.Minor)));

    [Theory]
    [InlineData(100, new long[] { 1, 1, 1 }, new long[] { 34, 33, 33 })]
    [InlineData(1, new long[] { 1, 1, 1 }, new long[] { 1, 0, 0 })]
    [InlineData(10, new long[] { 0, 1, 3 }, new long[] { 0, 3, 7 })]
    [InlineData(-100, new long[] { 1, 1, 1 }, new long[] { -34, -33, -33 })]
    public void Units_left_over_go_to_the_largest_remainders(long minor, long[] weights, long[] expected) =>
        Assert.Equal(expected, new Money(minor, Currency.HKD).Allocate(weights).Select(p => p.Minor));

    [Theory]
    [InlineData(new long[] { })]
    [InlineData(new long[] { 0, 0 })]
    [InlineData(new long[] { 1, -1, 1 })]
    public void Weights_that_say_nothing_are_refused(long[] weights) =>
        Assert.Throws<ArgumentException>(() => new Money(1, Currency.HKD).Allocate(weights));

    [Theory]
    [InlineData(12800, 0.029, 371)] // 371.2
    [InlineData(50, 0.029, 1)]      // 1.45
    [InlineData(500, 0.029, 15)]    // 14.5: half goes up
    [InlineData(-500, 0.029, -15)]
    public void A_share_is_rounded_half_away_from_zero(long minor, double rate, long expected) =>
        Assert.Equal(expected, new Money(minor, Currency.HKD).Share((decimal)rate).Minor);

    [Fact]
    public void Currencies_do_not_mix()
    {
        var (hkd, usd) = (new Money(1, Currency.HKD), new Money(1, Currency.USD));
        Assert.Throws<InvalidOperationException>(() => hkd + usd);
        Assert.Throws<InvalidOperationException>(() => hkd - usd);
        Assert.Throws<InvalidOperationException>(() => hkd > usd);
    }

    [Fact]
    public void Overflow_is_an_error_and_never_a_wrong_amount() =>
        Assert.Throws<OverflowException>(() => new Money(long.MaxValue, Currency.HKD) + new Money(1, Currency.HKD));

    [Fact]
    public void Adding_and_taking_away_gives_the_amount_again() =>
        Gen.Select(Gen.Long[-(1L << 60), 1L << 60], Gen.Long[-(1L << 60), 1L << 60]).Sample((a, b) =>
            new Money(a, Currency.USD) + new Money(b, Currency.USD) - new Money(b, Currency.USD) == new Money(a, Currency.USD));

    [Theory]
    [InlineData("HKD", 12800, "HKD 128.00")]
    [InlineData("JPY", 500, "JPY 500")]
    [InlineData("KWD", -1500, "KWD -1.500")]
    [InlineData("CLF", 12345, "CLF 1.2345")]
    public void A_person_reads_major_units(string code, long minor, string expected) =>
        Assert.Equal(expected, new Money(minor, Currency.Parse(code)).ToString());

    [Theory]
    [InlineData("HKD", 2)]
    [InlineData("USD", 2)]
    [InlineData("CNY", 2)]
    [InlineData("JPY", 0)]
    [InlineData("TWD", 2)]
    [InlineData("HUF", 2)]
    [InlineData("KWD", 3)]
    [InlineData("UYW", 4)]
    public void Exponents_are_those_of_iso_4217(string code, int exponent) => Assert.Equal(exponent, Currency.Parse(code).Exponent);

    [Theory]
    [InlineData("hkd")]
    [InlineData("XXX")]
    [InlineData("")]
    [InlineData(null)]
    public void Other_codes_are_not_currencies(string? code) => Assert.False(Currency.TryParse(code, out _));
}
