using Harbour.Charges;
using Harbour.Foundation;

namespace Harbour.Refunds;

/// <summary>Where refunds are: <c>refund|{inverted id}</c>, and an index row <c>refunds_of|{charge}|{inverted id}</c>.</summary>
public sealed class RefundStore(Books books)
{
    private const string AllPrefix = "refund|";

    public static string Key(Id<Refund> id) => AllPrefix + Sortable.Invert(id.Key);

    public Task<Row<Refund>?> FindAsync(Book book, Id<Refund> id, CancellationToken cancellation = default) => books.ReadAsync<Refund>(book, Key(id), cancellation);

    public static void Insert(Commit commit, Refund refund)
    {
        commit.Insert(Key(refund.Id), refund);
        commit.Mark(IndexKey(refund));
    }

    public static void Remove(Commit commit, Row<Refund> row)
    {
        commit.Delete(row.Key, row.ETag);
        commit.Unmark(IndexKey(row.Value));
    }

    /// <summary>A page of refunds, newest first; of one charge or of all.</summary>
    /// <param name="cursor">The last refund of the page before.</param>
    public Task<Page<Refund>> ListAsync(Book book, Id<Charge>? charge, Id<Refund>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Refund>(book, AllPrefix, refund => refund.Id) { Index = charge is { } of ? $"refunds_of|{of}|" : null }, cursor, limit, cancellation);

    private static string IndexKey(Refund refund) => $"refunds_of|{refund.Charge}|{Sortable.Invert(refund.Id.Key)}";
}
