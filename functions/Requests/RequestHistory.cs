using Harbour.Access;
using Harbour.Foundation;

namespace Harbour.Requests;

/// <summary>Puts together what is known of a request: its calls from the request log, its changes from the books.</summary>
public sealed class RequestHistory(RequestLog log, Books books)
{
    /// <summary>An id that every call of a careless client carries must not make this answer endless.</summary>
    internal const int MaxCalls = 100, MaxChanges = 500;

    /// <returns>Null when nothing is known of this id in this book.</returns>
    public async Task<Request?> FindAsync(Book book, string requestId, CancellationToken cancellation)
    {
        var calls = await log.ReadAsync(book, requestId, MaxCalls + 1, cancellation);
        var more = calls.Count > MaxCalls;
        if (more) calls = [.. calls.Skip(1)];

        // Commits count up with time, so where earlier calls are left out, so are their changes.
        var guards = Commit.GuardsOf(requestId);
        var after = more ? guards + Sortable.FirstKeyAt(calls[0].ReceivedAt) : guards;
        var changes = await books.ScanAsync(book, after, guards + Books.Last, cancellation: cancellation)
            .Take(MaxChanges + 1).Select(row => Books.Row<CommitRecord>(row).Value.Shown()).ToListAsync(cancellation);
        if (calls.Count == 0 && changes.Count == 0) return null;
        return new Request("request", requestId, calls, [.. changes.Take(MaxChanges)], more || changes.Count > MaxChanges);
    }
}
