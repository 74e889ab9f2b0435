using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;

namespace Harbour.Customers;

/// <summary>What a list of customers is narrowed to; every condition that is given must hold.</summary>
public sealed record CustomerFilter(string? Reference, string? Email, DateTimeOffset? CreatedAfter, DateTimeOffset? CreatedBefore);

/// <summary>
/// Where customers are: <c>customer|{inverted id}</c>, and an index row for each thing a list is filtered by,
/// <c>customer_ref|{hash}|</c> and <c>customer_email|{hash}|</c>, each followed by the inverted id.
/// </summary>
public sealed class CustomerStore(Books books)
{
    private const string AllPrefix = "customer|";

    public static string Key(Id<Customer> id) => AllPrefix + Sortable.Invert(id.Key);

    public Task<Row<Customer>?> FindAsync(Book book, Id<Customer> id, CancellationToken cancellation = default) =>
        books.ReadAsync<Customer>(book, Key(id), cancellation);

    public static void Insert(Commit commit, Customer customer)
    {
        commit.Insert(Key(customer.Id), customer);
        foreach (var index in Indexes(customer)) commit.Mark(index);
    }

    /// <summary>Changes a customer, and moves the index rows where they changed.</summary>
    public static void Replace(Commit commit, Row<Customer> row, Customer customer)
    {
        commit.Replace(row.Key, row.ETag, customer);
        var (before, after) = (Indexes(row.Value), Indexes(customer));
        foreach (var gone in before.Except(after)) commit.Unmark(gone);
        foreach (var made in after.Except(before)) commit.Mark(made);
    }

    /// <summary>A page of customers, newest first.</summary>
    /// <param name="cursor">The last customer of the page before.</param>
    public Task<Page<Customer>> ListAsync(Book book, CustomerFilter filter, Id<Customer>? cursor, int limit, CancellationToken cancellation) =>
        books.ListAsync(new Listing<Customer>(book, AllPrefix, customer => customer.Id)
        {
            Index = filter.Reference is { } reference ? ReferencePrefix(reference) : filter.Email is { } email ? EmailPrefix(email) : null,
            Matches = customer => (filter.Reference is null || customer.Reference == filter.Reference)
                && (filter.Email is null || string.Equals(customer.Email, filter.Email, StringComparison.OrdinalIgnoreCase)),
            CreatedAfter = filter.CreatedAfter,
            CreatedBefore = filter.CreatedBefore,
        }, cursor, limit, cancellation);

    private static List<string> Indexes(Customer customer)
    {
        var id = Sortable.Invert(customer.Id.Key);
        var keys = new List<string>();
        if (customer.Reference is { } reference) keys.Add(ReferencePrefix(reference) + id);
        if (customer.Email is { } email) keys.Add(EmailPrefix(email) + id);
        return keys;
    }

    private static string ReferencePrefix(string reference) => $"customer_ref|{Hash(reference)}|";

    /// <summary>People write their address in any case, and mean one.</summary>
    private static string EmailPrefix(string email) => $"customer_email|{Hash(email.ToUpperInvariant())}|";

    /// <summary>What the merchant wrote is hashed before it becomes part of a key.</summary>
    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 16));
}
