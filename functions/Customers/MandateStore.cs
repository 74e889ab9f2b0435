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
    public Task<Page<Mandate>> ListAsync(Book book, Id<Customer> customer, Id<Mandate>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Mandate>(book, AllPrefix, mandate => mandate.Id) { Index = Prefix(customer) }, cursor, limit, cancellation);

    private static string Prefix(Id<Customer> customer) => $"mandates_of|{customer}|";

    private static string IndexKey(Mandate mandate) => Prefix(mandate.Customer) + Sortable.Invert(mandate.Id.Key);
}
