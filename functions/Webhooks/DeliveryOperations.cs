using System.Diagnostics.Metrics;
using Harbour.Access;
using Harbour.Foundation;
using Microsoft.Extensions.Logging;

namespace Harbour.Webhooks;

/// <summary>
/// How an event reaches the endpoints that want it. A message on the bus stands for each step that is still to come, and is only taken
/// off it once the next step stands there too; so whatever crashes, the delivery goes on where it was, at worst by posting once more.
/// Rows are written before messages are sent: a message that comes again finds what was done and sends what was not.
/// </summary>
public sealed class DeliveryOperations(
    Books books, WebhookStore store, WebhookSecrets secrets, WebhookClient client, Bulkhead bulkhead, DeliveryMessages messages, Idempotency idempotency,
    ActivityMarkers activity, TimeProvider time, ILogger<DeliveryOperations> log)
{
    /// <summary>When a spare message comes: after the commit that it was sent ahead of has ended, one way or the other.</summary>
    private static readonly TimeSpan SpareAfter = TimeSpan.FromMinutes(1);

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Outcomes = Meter.CreateCounter<long>("harbour.webhooks.attempts", description: "Attempts to deliver by how they ended and what became of the delivery");
    private static readonly Counter<long> PutOffs = Meter.CreateCounter<long>("harbour.webhooks.put_off", description: "Attempts that were put off because their endpoint was busy");
    private static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("harbour.webhooks.duration", "s", "How long an endpoint took to answer");

    /// <summary>Begins a delivery to each endpoint that an event is for.</summary>
    public async Task FanOutAsync(Book book, Id<Event> id)
    {
        var @event = await store.FindEventAsync(book, id) ?? throw new InvalidDataException($"There is no {id}.");
        using var scope = ScopeOf(book, @event.RequestId);
        for (var round = 0; round < Idempotency.MaxRounds; round++)
        {
            var (endpoints, known) = (await store.EndpointsAsync(book), (await store.DeliveriesAsync(book, id)).Select(row => row.Value).ToList());
            var now = time.GetUtcNow();
            var made = endpoints.Where(endpoint => endpoint.Receives(@event) && known.All(delivery => delivery.Endpoint != endpoint.Id))
                .Select(endpoint => Delivery.Begin(@event, endpoint, now)).ToList();
            if (made.Count > 0)
            {
                var commit = books.Begin(book, @event.RequestId, "event.fan_out");
                foreach (var delivery in made) WebhookStore.Insert(commit, delivery);
                if (await commit.SubmitAsync() is null) continue;
            }

            // Also for those that an earlier message made: it may have ended before it sent theirs.
            await messages.SendAsync(known.Concat(made).Where(delivery => delivery.Turn == 1).Select(delivery => DeliveryMessage.Of(book, delivery)));
            return;
        }

        throw new InvalidOperationException($"The deliveries of {id} are being changed by others all the time.");
    }

    /// <summary>Does what it is the delivery's turn to do.</summary>
    public async Task DeliverAsync(DeliveryMessage message)
    {
        var entry = bulkhead.Enter(message.Endpoint);
        if (entry is not Entry.Entered)
        {
            PutOffs.Add(1, new KeyValuePair<string, object?>("reason", entry is Entry.Suspect ? "suspect" : "busy"));
            await messages.SendAsync(message with { PutOff = message.PutOff + 1 }, time.GetUtcNow() + Bulkhead.PutOffBy(entry, message.PutOff));
            return;
        }

        bool? timedOut = null;
        try
        {
            if (await store.FindDeliveryAsync(message.Book, message.Event, message.Endpoint) is not { } delivery) return;
            using var scope = ScopeOf(message.Book, delivery.Value.RequestId);
            switch (delivery.Value.StepOf(message.Turn, time.GetUtcNow()))
            {
                case DeliveryStep.Attempt:
                    timedOut = await AttemptAsync(message, delivery);
                    break;
                case DeliveryStep.Follow when !message.Spare:
                    await messages.SendAsync(DeliveryMessage.Of(message.Book, delivery.Value), delivery.Value.NextAttemptAt);
                    break;
                case DeliveryStep.Wait when !message.Spare:
                    await messages.SendAsync(message with { PutOff = message.PutOff + 1 }, delivery.Value.NextAttemptAt);
                    break;
            }
        }
        finally
        {
            bulkhead.Leave(message.Endpoint, timedOut);
        }
    }

    /// <summary>Makes one attempt and writes it down. Answers whether it timed out; null when there was nowhere to post to.</summary>
    private async Task<bool?> AttemptAsync(DeliveryMessage message, Row<Delivery> delivery)
    {
        var book = message.Book;
        var @event = await store.FindEventAsync(book, message.Event) ?? throw new InvalidDataException($"There is no {message.Event}.");
        if (await store.FindEndpointAsync(book, message.Endpoint) is not { Value: { IsEnabled: true } endpoint } found)
        {
            await GiveUpAsync(message, delivery);
            return null;
        }

        var (now, bytes) = (time.GetUtcNow(), @event.Bytes);
        var box = await secrets.OpenAsync();
        var signature = WebhookSignature.Sign(@event.Id.Value, now, bytes, endpoint.SecretsAt(now).Select(secret => box.Open(secret.Sealed, endpoint.Id.Value)));
        var response = await client.PostAsync(new WebhookRequest(endpoint.Mode, endpoint.Url, @event.Id, @event.RequestId, WebhookSignature.Timestamp(now), signature, bytes));

        var attempt = new DeliveryAttempt(0, now, response.StatusCode, response.Error, (long)response.Took.TotalMilliseconds, response.Body);
        var after = await RecordAsync(message, delivery, attempt, found.Value.Url);
        Outcomes.Add(1, new("outcome", response.Error ?? "delivered"), new("status", after.Status.ToString()));
        Duration.Record(response.Took.TotalSeconds, new KeyValuePair<string, object?>("outcome", response.Error ?? "delivered"));
        log.LogInformation("Attempt {Number} of {Delivery} to {Endpoint}: {Outcome} in {Milliseconds} ms; it is {Status}",
            after.Attempts.Length, after.Id, endpoint.Id, response.Error ?? "delivered", attempt.DurationMs, after.Status);
        return response.Error == WebhookResponse.TimedOut;
    }

    /// <summary>
    /// Writes an attempt down, and only then sends the message for the next. An attempt whose turn has passed meanwhile (its message came
    /// twice, or a person had the event sent again) is listed and changes nothing else.
    /// </summary>
    private async Task<Delivery> RecordAsync(DeliveryMessage message, Row<Delivery> delivery, DeliveryAttempt attempt, string url)
    {
        for (var round = 0; round < Idempotency.MaxRounds; round++)
        {
            var now = time.GetUtcNow();
            var mine = delivery.Value.Turn == message.Turn;
            var after = mine ? delivery.Value.After(attempt, now) : delivery.Value.Noting(attempt, now);
            var commit = books.Begin(message.Book, after.RequestId, "delivery.attempt");
            commit.Replace(delivery.Key, delivery.ETag, after);
            if (attempt.StatusCode == 410) await DisableAsync(commit, message, url, now);
            if (await commit.SubmitAsync() is not null)
            {
                if (mine && after.Status is DeliveryStatus.Pending) await messages.SendAsync(DeliveryMessage.Of(message.Book, after), after.NextAttemptAt);
                return after;
            }

            delivery = await store.FindDeliveryAsync(message.Book, message.Event, message.Endpoint) ?? throw new InvalidDataException($"{delivery.Value.Id} is gone.");
        }

        throw new InvalidOperationException($"{delivery.Value.Id} is being changed by others all the time.");
    }

    /// <summary>An endpoint that answers 410 wants no more. It is meant as long as it is still the URL that answered.</summary>
    private async Task DisableAsync(Commit commit, DeliveryMessage message, string url, DateTimeOffset now)
    {
        if (await store.FindEndpointAsync(message.Book, message.Endpoint) is not { Value: { IsEnabled: true } endpoint } row || endpoint.Url != url) return;
        await activity.MarkAsync(message.Book);
        var disabled = endpoint.Disable(WebhookEndpoint.Gone, now);
        commit.Replace(row.Key, row.ETag, disabled);
        commit.Emit("account.webhook_endpoint_disabled", WebhookEndpointView.Of(disabled, now));
        log.LogWarning("{Endpoint} answered 410 and is disabled", endpoint.Id);
    }

    /// <summary>Ends a delivery whose endpoint is off or gone. Whoever changed it meanwhile has sent a message of their own.</summary>
    private async Task GiveUpAsync(DeliveryMessage message, Row<Delivery> delivery)
    {
        var exists = await store.FindEndpointAsync(message.Book, message.Endpoint) is not null;
        var commit = books.Begin(message.Book, delivery.Value.RequestId, "delivery.give_up");
        commit.Replace(delivery.Key, delivery.ETag, delivery.Value.GiveUp(exists ? Delivery.EndpointDisabled : Delivery.EndpointDeleted, time.GetUtcNow()));
        if (await commit.SubmitAsync() is not null) log.LogInformation("{Delivery} is failed: its endpoint is {State}", delivery.Value.Id, exists ? "disabled" : "deleted");
    }

    /// <summary>Sends an event again, now, to one endpoint or to all that want it, whatever became of it before.</summary>
    public Task<Answer> RedeliverAsync(Call call, Event @event, Id<WebhookEndpoint>? only) => idempotency.RunWholeAsync(call, async keep =>
    {
        var endpoints = await store.EndpointsAsync(call.Book);
        var targets = endpoints.Where(endpoint => only is { } id ? endpoint.Id == id : endpoint.IsEnabled && endpoint.Wants(@event)).ToList();
        if (only is not null && targets.Count == 0) return call.Problem(Errors.WebhookEndpointNotFound with { Param = "endpoint" });
        if (targets.FirstOrDefault(endpoint => !endpoint.IsEnabled) is { } off)
            return call.Problem(Errors.InvalidTransition.With("webhook_endpoint", "disabled", "sent to").About("webhook_endpoint", off.Id.Value));

        var known = (await store.DeliveriesAsync(call.Book, @event.Id)).ToDictionary(row => row.Value.Endpoint);
        if (known.Values.Any(row => row.Value.Attempts.Length >= Delivery.MaxAttempts && targets.Any(target => target.Id == row.Value.Endpoint)))
            return call.Problem(Errors.LimitExceeded.With(Delivery.MaxAttempts, "attempts of one delivery"));

        var (now, commit) = (time.GetUtcNow(), books.Begin(call.Book, call.RequestId, "event.redeliver"));
        var deliveries = new List<Delivery>();
        foreach (var target in targets)
        {
            var delivery = known.TryGetValue(target.Id, out var row) ? row.Value.Again(now) : Delivery.Begin(@event, target, now);
            if (row is null) WebhookStore.Insert(commit, delivery);
            else commit.Replace(row.Key, row.ETag, delivery);
            deliveries.Add(delivery);
        }

        var answer = Answer.List(new Page<DeliveryView>([.. deliveries.Select(DeliveryView.Of)], null), 202);
        keep(commit, @event.Id.Value, answer);
        var mine = deliveries.Select(delivery => DeliveryMessage.Of(call.Book, delivery)).ToList();
        await messages.SendAsync(mine.Select(message => message with { Spare = true }), now + SpareAfter);
        if (await commit.SubmitAsync() is null) return null;
        try
        {
            await messages.SendAsync(mine);
        }
        catch (Exception e)
        {
            log.LogWarning(e, "{Event} is sent again a minute late: the bus took the spare messages, but not the real ones", @event.Id);
        }

        return answer;
    });

    private IDisposable? ScopeOf(Book book, string requestId) =>
        log.BeginScope(new Dictionary<string, object> { ["RequestId"] = requestId, ["Merchant"] = book.Merchant, ["Mode"] = book.Mode });
}
