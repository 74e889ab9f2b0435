using CsCheck;
using Harbour.Charges;
using Harbour.Foundation;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Foundation;

public sealed class IdsTests
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 23, 2, 0, 0, TimeSpan.Zero));

    [Fact]
    public void Ids_ascend_also_within_a_millisecond_and_when_the_clock_steps_back()
    {
        var clock = new SteppingClock();
        var ids = new Ids(clock);
        var made = Enumerable.Range(0, 10_000).Select(i =>
        {
            clock.Now = clock.Now.AddMilliseconds(i % 3 - 1);
            return ids.New<Charge>().Value;
        }).ToList();
        Assert.Equal(made.Order(StringComparer.Ordinal), made);
        Assert.Equal(made.Count, made.Distinct().Count());
    }

    [Fact]
    public void Ids_made_at_once_never_repeat()
    {
        var ids = new Ids(time);
        var made = new string[8][];
        Parallel.For(0, 8, i => made[i] = [.. Enumerable.Range(0, 5000).Select(_ => ids.New<Charge>().Value)]);
        Assert.Equal(40_000, made.SelectMany(x => x).Distinct().Count());
    }

    [Fact]
    public void Chance_at_its_largest_does_not_overflow()
    {
        var ids = new Ids(time, bytes => bytes.Fill(0xff));
        var made = Enumerable.Range(0, 1000).Select(_ => ids.NewKey()).ToList();
        Assert.Equal(made.Order(StringComparer.Ordinal), made);
        Assert.All(made, key => Assert.True(Sortable.IsKey(key)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("ch_")]
    [InlineData("re_01jdb0000000000000000000ab")]
    [InlineData("ch_01jdb0000000000000000000a")]
    [InlineData("ch_01JDB0000000000000000000AB")]
    [InlineData("ch_01jdb0000000000000000000a/")]
    [InlineData("ch_81jdb0000000000000000000ab")]
    [InlineData("ch_01jdb0000000000000000000ab ")]
    public void What_is_not_an_id_of_a_charge_is_refused(string text) => Assert.False(Id<Charge>.TryParse(text, out _));

    [Fact]
    public void An_id_is_read_as_it_was_written()
    {
        var id = new Ids(time).New<Charge>();
        Assert.True(Id<Charge>.TryParse(id.Value, out var read));
        Assert.Equal(id, read);
        Assert.Equal(time.GetUtcNow(), read.MadeAt);
    }

    [Fact]
    public void Inverting_turns_the_order_round_and_back() =>
        Gen.Select(Gen.ULong, Gen.ULong).Sample((a, b) =>
        {
            var (x, y) = (Key(a), Key(b));
            return Sortable.Invert(Sortable.Invert(x)) == x
                && Math.Sign(string.CompareOrdinal(x, y)) == -Math.Sign(string.CompareOrdinal(Sortable.Invert(x), Sortable.Invert(y)));
        });

    [Fact]
    public void The_first_key_of_a_moment_is_not_above_any_key_made_then()
    {
        var key = new Ids(time).NewKey();
        Assert.True(string.CompareOrdinal(Sortable.FirstKeyAt(time.GetUtcNow()), key) <= 0);
        Assert.True(string.CompareOrdinal(Sortable.FirstKeyAt(time.GetUtcNow().AddMilliseconds(1)), key) > 0);
    }

    private static string Key(ulong seed) => new Ids(new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds((long)(seed % 4_000_000_000_000))), bytes => new Random((int)(seed >> 33)).NextBytes(bytes)).NewKey();

    private sealed class SteppingClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);
        public override DateTimeOffset GetUtcNow() => Now;
    }
}
