using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Webhooks;

public sealed class DeliveryTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan[] Schedule =
        [.. new[] { 1, 5, 30, 120, 360, 720, 1440 }.Select(minutes => TimeSpan.FromMinutes(minutes))];

    private readonly Ids ids = new(new FakeTimeProvider(Now));

    [Fact]
    public void Failures_are_tried_again_by_the_schedule_and_the_eighth_is_the_last()
    {
        for (var sample = 0; sample < 50; sample++)
        {
            var (delivery, now) = (Begin(), Now);
            foreach (var wait in Schedule)
            {
                delivery = delivery.After(Attempt(500), now);
                Assert.Equal(DeliveryStatus.Pending, delivery.Status);
                Assert.InRange(delivery.NextAttemptAt!.Value - now, wait, wait * 1.1);
                now = delivery.NextAttemptAt.Value;
            }

            delivery = delivery.After(Attempt(500), now);
            Assert.Equal((DeliveryStatus.Failed, Delivery.Exhausted, 8), (delivery.Status, delivery.Failure, delivery.Attempts.Length));
            Assert.Null(delivery.NextAttemptAt);
            Assert.Equal(Enumerable.Range(1, 8), delivery.Attempts.Select(a => a.Number));
        }
    }

    [Fact]
    public void What_failed_together_does_not_come_back_together() =>
        Assert.True(Enumerable.Range(0, 50).Select(_ => Begin().After(Attempt(500), Now).NextAttemptAt).Distinct().Count() > 40);

    [Theory]
    [InlineData(200, DeliveryStatus.Delivered, null)]
    [InlineData(204, DeliveryStatus.Delivered, null)]
    [InlineData(302, DeliveryStatus.Pending, null)]
    [InlineData(400, DeliveryStatus.Pending, null)]
    [InlineData(410, DeliveryStatus.Failed, Delivery.EndpointGone)]
    [InlineData(500, DeliveryStatus.Pending, null)]
    [InlineData(null, DeliveryStatus.Pending, null)]
    public void An_attempt_decides_by_its_answer(int? status, DeliveryStatus then, string? failure)
    {
        var delivery = Begin().After(Attempt(status), Now);
        Assert.Equal((then, failure, 2, 2), (delivery.Status, delivery.Failure, delivery.Turn, delivery.Version));
        Assert.Equal(then is DeliveryStatus.Pending, delivery.NextAttemptAt is not null);
    }

    [Theory]
    [InlineData(3, 0, DeliveryStep.Attempt)]
    [InlineData(3, -1, DeliveryStep.Wait)]
    [InlineData(2, 0, DeliveryStep.Follow)]
    [InlineData(2, -1, DeliveryStep.Follow)]
    [InlineData(1, 0, DeliveryStep.Nothing)]
    [InlineData(4, 0, DeliveryStep.Nothing)]
    public void A_message_acts_in_its_turn_and_at_its_time(int turn, int secondsAfterDue, DeliveryStep step)
    {
        var delivery = Begin().After(Attempt(500), Now).After(Attempt(500), Now);
        Assert.Equal(step, delivery.StepOf(turn, delivery.NextAttemptAt!.Value.AddSeconds(secondsAfterDue)));
    }

    [Fact]
    public void A_delivery_that_has_ended_does_nothing_more()
    {
        foreach (var ended in new[] { Begin().After(Attempt(200), Now), Begin().After(Attempt(410), Now), Begin().GiveUp(Delivery.EndpointDeleted, Now) })
            Assert.All(Enumerable.Range(0, 4), turn => Assert.Equal(DeliveryStep.Nothing, ended.StepOf(turn, Now.AddYears(1))));
    }

    [Fact]
    public void Sending_again_begins_a_round_of_eight_and_stales_what_was_scheduled()
    {
        var delivery = Begin();
        for (var i = 0; i < 8; i++) delivery = delivery.After(Attempt(500), Now);
        var again = delivery.Again(Now);
        Assert.Equal((DeliveryStatus.Pending, Now, 0), (again.Status, again.NextAttemptAt, again.Failures));
        Assert.Null(again.Failure);
        Assert.Equal(DeliveryStep.Attempt, again.StepOf(again.Turn, Now));
        for (var i = 0; i < 7; i++) again = again.After(Attempt(500), Now);
        Assert.Equal(DeliveryStatus.Pending, again.Status);
        Assert.Equal((DeliveryStatus.Failed, 16), (again.After(Attempt(500), Now).Status, again.After(Attempt(500), Now).Attempts.Length));
    }

    [Fact]
    public void An_attempt_whose_turn_has_passed_is_listed_and_decides_nothing()
    {
        var before = Begin().After(Attempt(500), Now);
        var after = before.Noting(Attempt(200), Now);
        Assert.Equal((before.Status, before.Turn, before.NextAttemptAt, before.Failures), (after.Status, after.Turn, after.NextAttemptAt, after.Failures));
        Assert.Equal((2, 3), (after.Attempts.Length, after.Version));
    }

    [Fact]
    public void Old_attempts_keep_everything_but_their_answer()
    {
        var delivery = Begin();
        for (var i = 0; i < 20; i++) delivery = delivery.Noting(Attempt(500), Now);
        Assert.Equal(20, delivery.Attempts.Length);
        Assert.All(delivery.Attempts, a => Assert.Equal(500, a.StatusCode));
        Assert.Equal([.. Enumerable.Repeat(false, 4), .. Enumerable.Repeat(true, 16)], delivery.Attempts.Select(a => a.ResponseBody is not null));
    }

    [Fact]
    public void The_id_follows_from_event_and_endpoint()
    {
        var (first, second, endpoint, other) = (ids.New<Event>(), ids.New<Event>(), ids.New<WebhookEndpoint>(), ids.New<WebhookEndpoint>());
        var id = Delivery.IdOf(first, endpoint);
        Assert.Equal(id, Delivery.IdOf(first, endpoint));
        Assert.Equal(3, new[] { id, Delivery.IdOf(second, endpoint), Delivery.IdOf(first, other) }.Distinct().Count());
        Assert.Equal(first.MadeAt, id.MadeAt);
        Assert.Equal(id, Id<Delivery>.Parse(id.Value));
    }

    private Delivery Begin() => new()
    {
        Id = Delivery.IdOf(ids.New<Event>(), ids.New<WebhookEndpoint>()),
        Mode = Mode.Test,
        Event = ids.New<Event>(),
        Endpoint = ids.New<WebhookEndpoint>(),
        NextAttemptAt = Now,
        RequestId = "req_1",
        CreatedAt = Now,
        UpdatedAt = Now,
    };

    private static DeliveryAttempt Attempt(int? status) =>
        new(0, Now, status, status is >= 200 and < 300 ? null : status is null ? "timeout" : $"status_{status}", 12, "an answer");
}
