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

    public static string Key(Id<WebhookEndpoint> id) => EndpointPrefix + Sortable.Invert(id.Key);
    public static string Key(Id<Event> @event, Id<WebhookEndpoint> endpoint) => DeliveriesOf(@event) + Sortable.Invert(endpoint.Key);

    public Task<Row<WebhookEndpoint>?> FindEndpointAsync(Book book, Id<WebhookEndpoint> id, CancellationToken cancellation = default) =>
        books.ReadAsync<WebhookEndpoint>(book, Key(id), cancellation);

    /// <summary>All endpoints, the newest first; they are few.</summary>
    public async Task<List<WebhookEndpoint>> EndpointsAsync(Book book, CancellationToken cancellation = default) =>
        await books.ScanAsync(book, EndpointPrefix, EndpointPrefix + Books.Last, cancellation: cancellation).Select(row => Books.Row<WebhookEndpoint>(row).Value).ToListAsync(cancellation);

    public Task<Page<WebhookEndpoint>> ListEndpointsAsync(Book book, Id<WebhookEndpoint>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<WebhookEndpoint>(book, EndpointPrefix, endpoint => endpoint.Id), cursor, limit, cancellation);

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
        (await books.ReadAsync<Event>(book, EventPrefix + Sortable.Invert(id.Key), cancellation))?.Value;

    /// <summary>A page of events, newest first.</summary>
    public Task<Page<Event>> ListEventsAsync(Book book, EventFilter filter, Id<Event>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Event>(book, EventPrefix, @event => @event.Id)
        {
            Matches = @event => filter.Type is null || EventTypes.Matches(filter.Type, @event.Type),
            CreatedAfter = filter.CreatedAfter,
            CreatedBefore = filter.CreatedBefore,
        }, cursor, limit, cancellation);

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
