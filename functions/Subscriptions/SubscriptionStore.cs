using System.Collections.Concurrent;
using Azure.Data.Tables;
using Harbour.Foundation;

namespace Harbour.Subscriptions;

/// <summary>What a list of subscriptions is narrowed to; every condition that is given must hold.</summary>
public sealed record SubscriptionFilter(string? Customer, string? Reference, SubscriptionStatus? Status, DateTimeOffset? CreatedAfter, DateTimeOffset? CreatedBefore);

/// <summary>
/// Where subscriptions are: <c>subscription|{inverted id}</c>, with <c>subscriptions_of|{customer}|{inverted id}</c> for the list of a
/// customer and <c>subscriptions_alive|{id}</c> for as long as they can still charge; and their invoices:
/// <c>invoice|{subscription}|{inverted id}</c>. All newest first. The table <c>renewals</c> names the partitions that ever had one.
/// </summary>
public sealed class SubscriptionStore(Books books, Storage storage)
{
    private const string BooksTable = "renewals", BooksPartition = "books";

    private const string AllPrefix = "subscription|", AlivePrefix = "subscriptions_alive|";

    private readonly ConcurrentDictionary<Book, bool> announced = [];

    public static string Key(Id<Subscription> id) => AllPrefix + Sortable.Invert(id.Key);

    public static string Key(Invoice invoice) => InvoiceKey(invoice.Subscription, invoice.Id);

    public Task<Row<Subscription>?> FindAsync(Book book, Id<Subscription> id, CancellationToken cancellation = default) =>
        books.ReadAsync<Subscription>(book, Key(id), cancellation);

    /// <summary>The subscription's latest invoice; null before the first.</summary>
    public async Task<Row<Invoice>?> LatestInvoiceAsync(Book book, Subscription subscription) =>
        subscription.LatestInvoice is { } latest ? await books.ReadAsync<Invoice>(book, InvoiceKey(subscription.Id, latest)) : null;

    /// <summary>Sees to it that the daily watch knows of a partition; before its first subscription is written.</summary>
    public async Task AnnounceAsync(Book book)
    {
        if (announced.ContainsKey(book)) return;
        var table = await storage.TableAsync(BooksTable);
        await table.UpsertEntityAsync(new TableEntity(BooksPartition, book.Partition));
        announced[book] = true;
    }

    /// <summary>The partitions that have, or had, subscriptions.</summary>
    public async Task<List<Book>> BooksAsync()
    {
        var table = await storage.TableAsync(BooksTable);
        return await table.QueryAsync<TableEntity>(row => row.PartitionKey == BooksPartition, select: ["RowKey"]).Select(row => Book.Parse(row.RowKey)).ToListAsync();
    }

    public static void Insert(Commit commit, Subscription subscription)
    {
        commit.Insert(Key(subscription.Id), subscription);
        commit.Mark(OfCustomer(subscription));
        commit.Mark(AlivePrefix + subscription.Id.Key);
    }

    public static void Replace(Commit commit, Row<Subscription> row, Subscription subscription)
    {
        commit.Replace(row.Key, row.ETag, subscription);
        if (subscription.Status is SubscriptionStatus.Canceled && row.Value.Status is not SubscriptionStatus.Canceled) commit.Unmark(AlivePrefix + subscription.Id.Key);
    }

    public static void Insert(Commit commit, Invoice invoice) => commit.Insert(Key(invoice), invoice);

    public static void Replace(Commit commit, Row<Invoice> row, Invoice invoice) => commit.Replace(row.Key, row.ETag, invoice);

    /// <summary>A page of subscriptions, newest first.</summary>
    public Task<Page<Subscription>> ListAsync(Book book, SubscriptionFilter filter, Id<Subscription>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Subscription>(book, AllPrefix, s => s.Id)
        {
            Index = filter.Customer is { } customer ? $"subscriptions_of|{customer}|" : null,
            Matches = s => (filter.Customer is null || s.Customer.Value == filter.Customer)
                && (filter.Reference is null || s.Reference == filter.Reference)
                && (filter.Status is null || s.Status == filter.Status),
            CreatedAfter = filter.CreatedAfter,
            CreatedBefore = filter.CreatedBefore,
        }, cursor, limit, cancellation);

    /// <summary>A page of a subscription's invoices, newest first.</summary>
    public Task<Page<Invoice>> ListInvoicesAsync(Book book, Id<Subscription> subscription, InvoiceStatus? status, Id<Invoice>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Invoice>(book, $"invoice|{subscription.Key}|", i => i.Id) { Matches = i => status is null || i.Status == status }, cursor, limit, cancellation);

    /// <summary>All subscriptions of a partition that are not cancelled, oldest first.</summary>
    public async IAsyncEnumerable<Subscription> AliveAsync(Book book)
    {
        await foreach (var mark in books.ScanAsync(book, AlivePrefix, AlivePrefix + Books.Last, columns: ["RowKey"]))
            if (await FindAsync(book, Id<Subscription>.Parse(Subscription.Prefix + mark.RowKey[AlivePrefix.Length..])) is { } row) yield return row.Value;
    }

    private static string InvoiceKey(Id<Subscription> subscription, Id<Invoice> invoice) => $"invoice|{subscription.Key}|{Sortable.Invert(invoice.Key)}";

    private static string OfCustomer(Subscription subscription) => $"subscriptions_of|{subscription.Customer}|{Sortable.Invert(subscription.Id.Key)}";
}
