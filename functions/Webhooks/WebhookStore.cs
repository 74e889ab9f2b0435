using System.Text.Json;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>What a list of events is narrowed to.</summary>
/// <param name="Type">A type, or a family such as <c>charge.*</c>.</param>
public sealed record EventFilter(string? Type, DateTimeOffset? CreatedAfter, DateTimeOffset? CreatedBefore);

/// <summary>How many endpoints there are: the row that two who make the last allowed one at once both want.</summary>
public sealed record EndpointCount(int Count);

/// <summary>
/// Where webhooks are: endpoints in <c>hook|{inverted id}</c> with their number in <c>hooks</c>, events in <c>event|{inverted id}</c> as
/// commits write them, deliveries in <c>delivery|{inverted event}|{inverted endpoint}</c>, so that those of one event lie together.
/// </summary>
public sealed class WebhookStore(Books books)
{
    private const string EndpointPrefix = "hook|", CountKey = "hooks", EventPrefix = "event|", DeliveryPrefix = "delivery|";

    /// <summary>How many events one list call looks at before it answers with what it has and a cursor.</summary>
    private const int MaxScanned = 1000;

    public static string Key(Id<WebhookEndpoint> id) => EndpointPrefix + Sortable.Invert(id.Key);
    public static string Key(Id<Event> @event, Id<WebhookEndpoint> endpoint) => DeliveriesOf(@event) + Sortable.Invert(endpoint.Key);

    public Task<Row<WebhookEndpoint>?> FindEndpointAsync(Book book, Id<WebhookEndpoint> id, CancellationToken cancellation = default) =>
        books.ReadAsync<WebhookEndpoint>(book, Key(id), cancellation);

    /// <summary>All endpoints, the newest first; they are few.</summary>
    public async Task<List<WebhookEndpoint>> EndpointsAsync(Book book, CancellationToken cancellation = default) =>
        await books.ScanAsync(book, EndpointPrefix, EndpointPrefix + Books.Last, cancellation: cancellation).Select(row => Books.Row<WebhookEndpoint>(row).Value).ToListAsync(cancellation);

    public async Task<Page<WebhookEndpoint>> ListEndpointsAsync(Book book, Id<WebhookEndpoint>? cursor, int limit, CancellationToken cancellation)
    {
        var found = (await EndpointsAsync(book, cancellation)).Where(endpoint => cursor is not { } last || endpoint.Id.CompareTo(last) < 0).Take(limit + 1).ToList();
        var page = found.Take(limit).ToList();
        return new Page<WebhookEndpoint>(page, found.Count > limit ? page[^1].Id.Value : null);
    }

    public async Task<Row<EndpointCount>?> CountAsync(Book book) => await books.ReadAsync<EndpointCount>(book, CountKey);

    public static void Insert(Commit commit, WebhookEndpoint endpoint, Row<EndpointCount>? count)
    {
        commit.Insert(Key(endpoint.Id), endpoint);
        if (count is null) commit.Insert(CountKey, new EndpointCount(1));
        else commit.Replace(CountKey, count.ETag, new EndpointCount(count.Value.Count + 1));
    }

    public static void Remove(Commit commit, Row<WebhookEndpoint> endpoint, Row<EndpointCount> count)
    {
        commit.Delete(endpoint.Key, endpoint.ETag);
        commit.Replace(CountKey, count.ETag, new EndpointCount(count.Value.Count - 1));
    }

    public async Task<Event?> FindEventAsync(Book book, Id<Event> id, CancellationToken cancellation = default) =>
        await books.ReadAsync<JsonElement>(book, EventPrefix + Sortable.Invert(id.Key), cancellation) is { } row ? Event.Of(row.Value) : null;

    /// <summary>A page of events, newest first.</summary>
    /// <param name="cursor">The last event of the page before.</param>
    public async Task<Page<Event>> ListEventsAsync(Book book, EventFilter filter, Id<Event>? cursor, int limit, CancellationToken cancellation)
    {
        var after = cursor is { } last ? Sortable.Invert(last.Key) : "";
        if (filter.CreatedBefore is { } before && Sortable.Invert(Sortable.FirstKeyAt(before)) is var bound && string.CompareOrdinal(bound, after) > 0) after = bound;
        var upTo = filter.CreatedAfter is { } since ? Sortable.Invert(Sortable.FirstKeyAt(since.AddMilliseconds(1))) : Books.Last;

        var found = new List<Event>();
        var scanned = 0;
        await foreach (var row in books.ScanAsync(book, EventPrefix + after, EventPrefix + upTo, filter.Type is null ? limit + 1 : MaxScanned, cancellation: cancellation))
        {
            var @event = Event.Of(Books.Row<JsonElement>(row).Value);
            if (filter.Type is null || EventTypes.Matches(filter.Type, @event.Type))
            {
                if (found.Count == limit) return new Page<Event>(found, found[^1].Id.Value);
                found.Add(@event);
            }

            // The cursor stands where the search stopped, which need not be at an event of the page.
            if (++scanned == MaxScanned) return new Page<Event>(found, @event.Id.Value);
        }

        return new Page<Event>(found, null);
    }

    public Task<Row<Delivery>?> FindDeliveryAsync(Book book, Id<Event> @event, Id<WebhookEndpoint> endpoint) =>
        books.ReadAsync<Delivery>(book, Key(@event, endpoint));

    public static void Insert(Commit commit, Delivery delivery) => commit.Insert(Key(delivery.Event, delivery.Endpoint), delivery);

    /// <summary>The deliveries of an event, those to the newest endpoint first.</summary>
    public async Task<List<Row<Delivery>>> DeliveriesAsync(Book book, Id<Event> @event, CancellationToken cancellation = default) =>
        await books.ScanAsync(book, DeliveriesOf(@event), DeliveriesOf(@event) + Books.Last, cancellation: cancellation).Select(Books.Row<Delivery>).ToListAsync(cancellation);

    /// <param name="cursor">The endpoint of the last delivery of the page before.</param>
    public async Task<Page<Delivery>> ListDeliveriesAsync(Book book, Id<Event> @event, Id<WebhookEndpoint>? cursor, int limit, CancellationToken cancellation)
    {
        var prefix = DeliveriesOf(@event);
        var found = await books.ScanAsync(book, prefix + (cursor is { } last ? Sortable.Invert(last.Key) : ""), prefix + Books.Last, limit + 1, cancellation: cancellation)
            .Take(limit + 1).Select(row => Books.Row<Delivery>(row).Value).ToListAsync(cancellation);
        var page = found.Take(limit).ToList();
        return new Page<Delivery>(page, found.Count > limit ? page[^1].Endpoint.Value : null);
    }

    private static string DeliveriesOf(Id<Event> @event) => $"{DeliveryPrefix}{Sortable.Invert(@event.Key)}|";
}
