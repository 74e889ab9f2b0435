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
    public Task<Page<Charge>> ListAsync(Book book, ChargeFilter filter, Id<Charge>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Charge>(book, AllPrefix, charge => charge.Id)
        {
            Index = filter.Reference is { } reference ? ReferencePrefix(reference)
                : filter.Customer is { } customer ? $"cus|{customer}|"
                : filter.Status is { } status ? StatusPrefix(status)
                : null,
            Matches = charge => (filter.Reference is null || charge.Reference == filter.Reference)
                && (filter.Customer is null || charge.Customer?.Value == filter.Customer)
                && (filter.Status is null || charge.Status == filter.Status),
            CreatedAfter = filter.CreatedAfter,
            CreatedBefore = filter.CreatedBefore,
        }, cursor, limit, cancellation);

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
