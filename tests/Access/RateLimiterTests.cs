using Harbour.Access;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Access;

public sealed class RateLimiterTests
{
    private readonly FakeTimeProvider time = new();
    private readonly RateLimiter limiter;

    public RateLimiterTests() => limiter = new RateLimiter(time);

    [Fact]
    public void A_full_bucket_gives_its_burst_and_not_one_more()
    {
        for (var left = 199; left >= 0; left--)
        {
            var rate = limiter.Take("key", 100, 200);
            Assert.True(rate.Allowed);
            Assert.Equal((200, left), (rate.Limit, rate.Remaining));
        }

        var refused = limiter.Take("key", 100, 200);
        Assert.Equal((false, 0), (refused.Allowed, refused.Remaining));
        Assert.Equal(TimeSpan.FromMilliseconds(10), refused.RetryAfter);
        Assert.Equal(TimeSpan.FromSeconds(2), refused.Reset);
    }

    [Fact]
    public void It_refills_at_the_steady_rate()
    {
        while (limiter.Take("key", 100, 200).Allowed) { }
        time.Advance(TimeSpan.FromMilliseconds(9.9));
        Assert.False(limiter.Take("key", 100, 200).Allowed);
        time.Advance(TimeSpan.FromMilliseconds(0.1));
        Assert.True(limiter.Take("key", 100, 200).Allowed);
        Assert.False(limiter.Take("key", 100, 200).Allowed);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(100, Enumerable.Range(0, 200).Count(_ => limiter.Take("key", 100, 200).Allowed));
    }

    [Fact]
    public void It_never_holds_more_than_the_burst()
    {
        limiter.Take("key", 100, 200);
        time.Advance(TimeSpan.FromDays(400));
        Assert.Equal(200, Enumerable.Range(0, 300).Count(_ => limiter.Take("key", 100, 200).Allowed));
    }

    [Fact]
    public void What_is_refused_costs_nothing()
    {
        for (var i = 0; i < 1000; i++) limiter.Take("key", 100, 200);
        time.Advance(TimeSpan.FromMilliseconds(10));
        Assert.True(limiter.Take("key", 100, 200).Allowed);
    }

    [Fact]
    public void Looking_takes_nothing_and_says_whether_one_more_is_allowed()
    {
        Assert.Equal(new Rate(true, 2, 2, TimeSpan.Zero, TimeSpan.Zero), limiter.Look("key", 1, 2));
        limiter.Take("key", 1, 2);
        Assert.Equal(new Rate(true, 2, 1, TimeSpan.FromSeconds(1), TimeSpan.Zero), limiter.Look("key", 1, 2));
        limiter.Take("key", 1, 2);
        Assert.Equal(new Rate(false, 2, 0, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1)), limiter.Look("key", 1, 2));
    }

    [Fact]
    public void One_key_does_not_spend_what_another_has()
    {
        while (limiter.Take("one", 1, 5).Allowed) { }
        Assert.Equal(4, limiter.Take("two", 1, 5).Remaining);
    }

    [Fact]
    public void Calls_at_once_take_exactly_what_there_is()
    {
        var allowed = 0;
        Parallel.For(0, 10_000, _ =>
        {
            if (limiter.Take("key", 100, 2000).Allowed) Interlocked.Increment(ref allowed);
        });
        Assert.Equal(2000, allowed);
    }

    [Fact]
    public void A_bucket_in_use_outlives_any_number_of_others()
    {
        while (limiter.Take("used", 1, 5).Allowed) { }
        for (var i = 0; i < 200_000; i++)
        {
            limiter.Take($"other{i}", 1, 5);
            if (i % 10_000 == 0) Assert.False(limiter.Take("used", 1, 5).Allowed);
        }
    }
}
