using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Webhooks;

public sealed class BulkheadTests
{
    private readonly Ids ids = new(new FakeTimeProvider());
    private readonly Bulkhead bulkhead = new();

    [Fact]
    public void An_endpoint_has_a_few_places_and_takes_none_from_another()
    {
        var (busy, other) = (ids.New<WebhookEndpoint>(), ids.New<WebhookEndpoint>());
        for (var i = 0; i < Bulkhead.Places; i++) Assert.Equal(Entry.Entered, bulkhead.Enter(busy));
        Assert.Equal(Entry.Busy, bulkhead.Enter(busy));
        Assert.Equal(Entry.Entered, bulkhead.Enter(other));
        bulkhead.Leave(busy, timedOut: false);
        Assert.Equal(Entry.Entered, bulkhead.Enter(busy));
    }

    [Fact]
    public void One_that_hangs_has_one_place_until_it_answers_in_time()
    {
        var hanging = ids.New<WebhookEndpoint>();
        bulkhead.Enter(hanging);
        bulkhead.Leave(hanging, timedOut: true);
        Assert.Equal(Entry.Entered, bulkhead.Enter(hanging));
        Assert.Equal(Entry.Suspect, bulkhead.Enter(hanging));
        bulkhead.Leave(hanging, timedOut: null);
        Assert.Equal(Entry.Entered, bulkhead.Enter(hanging));
        Assert.Equal(Entry.Suspect, bulkhead.Enter(hanging));
        bulkhead.Leave(hanging, timedOut: false);
        for (var i = 0; i < Bulkhead.Places; i++) Assert.Equal(Entry.Entered, bulkhead.Enter(hanging));
    }

    [Fact]
    public void All_that_hang_share_a_few_places()
    {
        var hanging = Enumerable.Range(0, Bulkhead.SuspectPlaces + 1).Select(_ => ids.New<WebhookEndpoint>()).ToList();
        foreach (var endpoint in hanging)
        {
            bulkhead.Enter(endpoint);
            bulkhead.Leave(endpoint, timedOut: true);
        }

        Assert.All(hanging.Take(Bulkhead.SuspectPlaces), endpoint => Assert.Equal(Entry.Entered, bulkhead.Enter(endpoint)));
        Assert.Equal(Entry.Suspect, bulkhead.Enter(hanging[^1]));
        Assert.Equal(Entry.Entered, bulkhead.Enter(ids.New<WebhookEndpoint>()));
    }

    [Theory]
    [InlineData(Entry.Busy, 0, 1)]
    [InlineData(Entry.Busy, 2, 4)]
    [InlineData(Entry.Busy, 9, 8)]
    [InlineData(Entry.Suspect, 0, 5)]
    [InlineData(Entry.Suspect, 3, 40)]
    [InlineData(Entry.Suspect, 6, 300)]
    [InlineData(Entry.Suspect, 1000, 300)]
    public void Who_is_put_off_waits_longer_each_time(Entry entry, int before, int seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Bulkhead.PutOffBy(entry, before));
}
