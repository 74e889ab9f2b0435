using Azure.Data.Tables;

namespace Harbour.Foundation;

/// <summary>
/// How the objects of a kind are listed, newest first: their rows are <c>{Prefix}{inverted id}</c>, and an index has rows of no content
/// that end with the same.
/// </summary>
/// <param name="Prefix">The rows of the objects themselves.</param>
/// <param name="Id">The id of an object.</param>
public sealed record Listing<T>(Book Book, string Prefix, Func<T, Id<T>> Id) where T : IHasId
{
    /// <summary>The prefix of the index to go by; null goes by the objects themselves.</summary>
    public string? Index { get; init; }

    /// <summary>Which objects belong on the list, beyond what the index says.</summary>
    public Func<T, bool> Matches { get; init; } = _ => true;

    public DateTimeOffset? CreatedAfter { get; init; }
    public DateTimeOffset? CreatedBefore { get; init; }
}

public static class Listings
{
    /// <summary>How many rows one list call looks at before it answers with what it has and a cursor.</summary>
    private const int MaxScanned = 1000;

    /// <summary>A page of objects, newest first. It may hold fewer than asked for and still have a next one, where few of many match.</summary>
    /// <param name="cursor">The last object of the page before.</param>
    public static async Task<Page<T>> ListAsync<T>(this Books books, Listing<T> list, Id<T>? cursor, int limit, CancellationToken cancellation) where T : IHasId
    {
        var prefix = list.Index ?? list.Prefix;
        var after = prefix + Later(cursor is { } last ? Sortable.Invert(last.Key) : "", list.CreatedBefore is { } before ? Sortable.Invert(Sortable.FirstKeyAt(before)) : "");
        var upTo = prefix + (list.CreatedAfter is { } since ? Sortable.Invert(Sortable.FirstKeyAt(since.AddMilliseconds(1))) : Books.Last);

        var found = new List<T>();
        var scanned = 0;
        Id<T>? position = null;
        await foreach (var batch in books.ScanAsync(list.Book, after, upTo, limit + 1, cancellation: cancellation).Chunk(limit + 1).WithCancellation(cancellation))
        {
            foreach (var value in await LoadAsync(books, list, batch, cancellation))
            {
                if (!list.Matches(value)) position = list.Id(value);
                else if (found.Count == limit) return new Page<T>(found, list.Id(found[^1]).Value);
                else found.Add(value);
            }

            if ((scanned += batch.Length) >= MaxScanned && position is { } stop)
                return new Page<T>(found, (found.Count > 0 && list.Id(found[^1]).CompareTo(stop) < 0 ? list.Id(found[^1]) : stop).Value);
        }

        return new Page<T>(found, null);
    }

    private static async Task<IEnumerable<T>> LoadAsync<T>(Books books, Listing<T> list, TableEntity[] batch, CancellationToken cancellation) where T : IHasId
    {
        if (list.Index is null) return batch.Select(entity => Books.Row<T>(entity).Value);
        var rows = await Task.WhenAll(batch.Select(index => books.ReadAsync<T>(list.Book, list.Prefix + index.RowKey[^Sortable.KeyLength..], cancellation)));
        return rows.OfType<Row<T>>().Select(row => row.Value);
    }

    private static string Later(string a, string b) => string.CompareOrdinal(a, b) >= 0 ? a : b;
}
