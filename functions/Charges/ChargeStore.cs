using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;

namespace Harbour.Charges;

/// <summary>What a list of charges is narrowed to; every condition that is given must hold.</summary>
public sealed record ChargeFilter(string? Reference, string? Customer, ChargeStatus? Status, DateTimeOffset? CreatedAfter, DateTimeOffset? CreatedBefore);

/// <summary>
/// Where charges are: <c>charge|{inverted id}</c>, so that a scan lists the newest first, and an index row for each thing a list is
/// filtered by: <c>ref|{hash}|</c>, <c>cus|{customer}|</c>, <c>status|{status}|</c>, each followed by the inverted id.
/// </summary>
public sealed class ChargeStore(Books books)
{
    private const string AllPrefix = "charge|";

    /// <summary>How many rows one list call looks at before it answers with what it has and a cursor.</summary>
    private const int MaxScanned = 1000;

    public static string Key(Id<Charge> id) => AllPrefix + Sortable.Invert(id.Key);

    public Task<Row<Charge>?> FindAsync(Book book, Id<Charge> id, CancellationToken cancellation = default) =>
        books.ReadAsync<Charge>(book, Key(id), cancellation);

    /// <summary>Adds a new charge and its index rows.</summary>
    public static void Insert(Commit commit, Charge charge)
    {
        commit.Insert(Key(charge.Id), charge);
        foreach (var index in Indexes(charge)) commit.Mark(index);
    }

    /// <summary>Changes a charge, and moves its index rows where they changed.</summary>
    public static void Replace(Commit commit, Row<Charge> row, Charge charge)
    {
        commit.Replace(row.Key, row.ETag, charge);
        var (before, after) = (Indexes(row.Value), Indexes(charge));
        foreach (var gone in before.Except(after)) commit.Unmark(gone);
        foreach (var made in after.Except(before)) commit.Mark(made);
    }

    /// <summary>Takes a charge away that left nothing behind.</summary>
    public static void Remove(Commit commit, Row<Charge> row)
    {
        commit.Delete(row.Key, row.ETag);
        foreach (var index in Indexes(row.Value)) commit.Unmark(index);
    }

    /// <summary>A page of charges, newest first.</summary>
    /// <param name="cursor">The last charge of the page before.</param>
    public async Task<Page<Charge>> ListAsync(Book book, ChargeFilter filter, Id<Charge>? cursor, int limit, CancellationToken cancellation)
    {
        var prefix = Prefix(filter);
        var after = prefix + Later(cursor is { } last ? Sortable.Invert(last.Key) : "", filter.CreatedBefore is { } before ? Sortable.Invert(Sortable.FirstKeyAt(before)) : "");
        var upTo = prefix + (filter.CreatedAfter is { } since ? Sortable.Invert(Sortable.FirstKeyAt(since.AddMilliseconds(1))) : Books.Last);

        var found = new List<Charge>();
        var scanned = 0;
        Id<Charge>? position = null;
        await foreach (var batch in books.ScanAsync(book, after, upTo, limit + 1, cancellation: cancellation).Chunk(limit + 1).WithCancellation(cancellation))
        {
            foreach (var charge in await LoadAsync(book, prefix, batch, cancellation))
            {
                if (!Matches(charge, filter)) position = charge.Id;
                else if (found.Count == limit) return new Page<Charge>(found, found[^1].Id.Value);
                else found.Add(charge);
            }

            if ((scanned += batch.Length) >= MaxScanned && position is { } stop) return new Page<Charge>(found, Earliest(found, stop).Value);
        }

        return new Page<Charge>(found, null);
    }

    private async Task<IEnumerable<Charge>> LoadAsync(Book book, string prefix, Azure.Data.Tables.TableEntity[] batch, CancellationToken cancellation)
    {
        if (prefix == AllPrefix) return batch.Select(entity => Books.Row<Charge>(entity).Value);
        var rows = await Task.WhenAll(batch.Select(index => books.ReadAsync<Charge>(book, AllPrefix + index.RowKey[^Sortable.KeyLength..], cancellation)));
        return rows.OfType<Row<Charge>>().Select(row => row.Value);
    }

    private static string Prefix(ChargeFilter filter) =>
        filter.Reference is not null ? ReferencePrefix(filter.Reference)
        : filter.Customer is not null ? $"cus|{filter.Customer}|"
        : filter.Status is { } status ? StatusPrefix(status)
        : AllPrefix;

    private static bool Matches(Charge charge, ChargeFilter filter) =>
        (filter.Reference is null || charge.Reference == filter.Reference)
        && (filter.Customer is null || charge.Customer?.Value == filter.Customer)
        && (filter.Status is null || charge.Status == filter.Status);

    private static Id<Charge> Earliest(List<Charge> found, Id<Charge> stop) => found.Count > 0 && found[^1].Id.CompareTo(stop) < 0 ? found[^1].Id : stop;

    private static string Later(string a, string b) => string.CompareOrdinal(a, b) >= 0 ? a : b;

    private static string[] Indexes(Charge charge)
    {
        var id = Sortable.Invert(charge.Id.Key);
        var keys = new List<string> { StatusPrefix(charge.Status) + id };
        if (charge.Reference is { } reference) keys.Add(ReferencePrefix(reference) + id);
        if (charge.Customer is { } customer) keys.Add($"cus|{customer}|{id}");
        return [.. keys];
    }

    private static string StatusPrefix(ChargeStatus status) => $"status|{status}|";

    /// <summary>A reference is the merchant's own text, so it is hashed before it becomes part of a key.</summary>
    private static string ReferencePrefix(string reference) => $"ref|{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(reference)).AsSpan(0, 16))}|";
}
