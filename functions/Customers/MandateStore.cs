using Harbour.Foundation;

namespace Harbour.Customers;

/// <summary>Where mandates are: <c>mandate|{inverted id}</c>, and an index row <c>mandates_of|{customer}|{inverted id}</c>.</summary>
public sealed class MandateStore(Books books)
{
    private const string AllPrefix = "mandate|";

    public static string Key(Id<Mandate> id) => AllPrefix + Sortable.Invert(id.Key);

    public Task<Row<Mandate>?> FindAsync(Book book, Id<Mandate> id, CancellationToken cancellation = default) =>
        books.ReadAsync<Mandate>(book, Key(id), cancellation);

    public static void Insert(Commit commit, Mandate mandate)
    {
        commit.Insert(Key(mandate.Id), mandate);
        commit.Mark(IndexKey(mandate));
    }

    public static void Remove(Commit commit, Row<Mandate> row)
    {
        commit.Delete(row.Key, row.ETag);
        commit.Unmark(IndexKey(row.Value));
    }

    /// <summary>A page of a customer's mandates, newest first.</summary>
    /// <param name="cursor">The last mandate of the page before.</param>
    public async Task<Page<Mandate>> ListAsync(Book book, Id<Customer> customer, Id<Mandate>? cursor, int limit, CancellationToken cancellation)
    {
        var prefix = Prefix(customer);
        var found = await books.ScanAsync(book, prefix + (cursor is { } last ? Sortable.Invert(last.Key) : ""), prefix + Books.Last, limit + 1, cancellation: cancellation)
            .Take(limit + 1).ToListAsync(cancellation);
        var rows = await Task.WhenAll(found.Take(limit).Select(index => books.ReadAsync<Mandate>(book, AllPrefix + index.RowKey[^Sortable.KeyLength..], cancellation)));
        var page = rows.OfType<Row<Mandate>>().Select(row => row.Value).ToList();
        return new Page<Mandate>(page, found.Count > limit && page.Count > 0 ? page[^1].Id.Value : null);
    }

    private static string Prefix(Id<Customer> customer) => $"mandates_of|{customer}|";

    private static string IndexKey(Mandate mandate) => Prefix(mandate.Customer) + Sortable.Invert(mandate.Id.Key);
}
