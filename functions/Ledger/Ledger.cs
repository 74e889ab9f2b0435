using System.Diagnostics.Metrics;
using Harbour.Foundation;
using Microsoft.Extensions.Logging;

namespace Harbour.Ledger;

/// <summary>What a merchant has in one currency.</summary>
public sealed record BalanceLine(Currency Currency, long Available, long Pending, long Reserved);

/// <summary>One ledger line as the merchant sees it.</summary>
public sealed record BalanceEntry(
    string Id, string Object, string Type, string Account, long Amount, Currency Currency, string Source, string Entry, DateTimeOffset CreatedAt);

/// <summary>
/// Reads the books. The order matters: the head FIRST, then the postings after its cut. The other way round, a debit between the
/// two reads would be seen in neither, and two debits could spend the same money.
/// </summary>
public sealed class LedgerBooks(Books books, TimeProvider time, ILogger<LedgerBooks> log)
{
    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Slips = Meter.CreateCounter<long>("harbour.ledger.slips", description: "Postings that were found behind a cut");

    /// <summary>The currencies in which balances are kept.</summary>
    public static readonly IReadOnlyList<Currency> Currencies = [Currency.HKD, Currency.USD, Currency.CNY];

    private static readonly string[] PostingColumns = ["RowKey", "Amount"], KeyColumn = ["RowKey"];

    /// <summary>All accounts that have a head, in the order of their postings' keys.</summary>
    private static readonly IReadOnlyList<(Account Account, Currency Currency)> Kept =
        [.. (from account in Account.Merchants from currency in Currencies select (account, currency)).OrderBy(a => LedgerKeys.Postings(a.account, a.currency), StringComparer.Ordinal)];

    /// <summary>Reads an account for its balance or for a debit.</summary>
    public async Task<Holding> ReadAsync(Book book, Account account, Currency currency, CancellationToken cancellation = default)
    {
        var readAt = time.GetUtcNow();
        var row = await books.ReadAsync<Head>(book, LedgerKeys.Head(account, currency), cancellation);
        return await ReadAsync(book, account, currency, row, readAt, check: false, cancellation);
    }

    /// <summary>
    /// Moves the heads of a book on, so that reading a balance stays cheap however many postings there are, and looks whether anything
    /// slipped in behind a cut since the last time. A debit that is first wins; the next round tries again. It reads only what is in
    /// use: all heads in one scan, the postings of each, and one row of each gap between them, in which an account may have got its
    /// first posting.
    /// </summary>
    public async Task AdvanceAsync(Book book, string requestId)
    {
        var readAt = time.GetUtcNow();
        var heads = new Dictionary<string, Row<Head>>(StringComparer.Ordinal);
        await foreach (var row in books.ScanAsync(book, LedgerKeys.Heads, LedgerKeys.Heads + Books.Last)) heads[row.RowKey] = Books.Row<Head>(row);

        for (var i = 0; i < Kept.Count; i++)
        {
            var (account, currency) = Kept[i];
            if (heads.TryGetValue(LedgerKeys.Head(account, currency), out var head))
            {
                await AdvanceAsync(book, account, currency, head, readAt, requestId);
                continue;
            }

            var last = i;
            while (last + 1 < Kept.Count && !heads.ContainsKey(LedgerKeys.Head(Kept[last + 1].Account, Kept[last + 1].Currency))) last++;
            if (await FirstInUseAsync(book, i, last) is not { } found)
            {
                i = last;
                continue;
            }

            i = found;
            await AdvanceAsync(book, Kept[i].Account, Kept[i].Currency, null, readAt, requestId);
        }
    }

    /// <summary>The first of these accounts that has a posting; null when none has. What lies between them and is not kept is passed over.</summary>
    private async Task<int?> FirstInUseAsync(Book book, int first, int last)
    {
        var upTo = Prefix(last) + Books.Last;
        while (first <= last)
        {
            if (await books.ScanAsync(book, Prefix(first), upTo, pageSize: 1, KeyColumn).Select(row => row.RowKey).FirstOrDefaultAsync() is not { } key) return null;
            while (first <= last && string.CompareOrdinal(Prefix(first), key) < 0)
            {
                if (key.StartsWith(Prefix(first), StringComparison.Ordinal)) return first;
                first++;
            }
        }

        return null;

        static string Prefix(int index) => LedgerKeys.Postings(Kept[index].Account, Kept[index].Currency);
    }

    private async Task AdvanceAsync(Book book, Account account, Currency currency, Row<Head>? row, DateTimeOffset readAt, string requestId)
    {
        var held = await ReadAsync(book, account, currency, row, readAt, check: true, default);
        if (held.Slip != 0)
        {
            Slips.Add(1);
            log.LogCritical("A posting of {Amount} {Currency} slipped in behind the cut of {Account} in {Book}; the head is healed", held.Slip, currency, account, book.Partition);
        }

        if (!held.IsBehind) return;
        var commit = books.Begin(book, requestId, "ledger.advance");
        held.Take(commit, Money.Zero(currency), "head");
        await commit.SubmitAsync();
    }

    /// <param name="row">The head as it was read, after <paramref name="readAt"/>.</param>
    private async Task<Holding> ReadAsync(
        Book book, Account account, Currency currency, Row<Head>? row, DateTimeOffset readAt, bool check, CancellationToken cancellation)
    {
        var head = row?.Value ?? Head.Empty;
        var postings = new List<(long, DateTimeOffset)>();
        var upTo = LedgerKeys.PostingsAt(account, currency, check ? head.CheckedCut : head.Cut);
        await foreach (var posting in books.ScanAsync(book, LedgerKeys.Postings(account, currency), upTo, columns: PostingColumns, cancellation: cancellation))
            postings.Add((posting.GetInt64("Amount")!.Value, LedgerKeys.TimeOf(posting.RowKey)));
        return new Holding(account, currency, head, row?.ETag, postings, readAt, check);
    }

    /// <summary>What the merchant has now, in every currency.</summary>
    public async Task<IReadOnlyList<BalanceLine>> BalanceAsync(Book book, CancellationToken cancellation)
    {
        var read = await Task.WhenAll(
            from currency in Currencies
            from account in Account.Merchants
            select ReadAsync(book, account, currency, cancellation));
        return [.. Currencies.Zip(read.Chunk(Account.Merchants.Count), (currency, held) => new BalanceLine(currency, held[0].Balance.Minor, held[1].Balance.Minor, held[2].Balance.Minor))];
    }

    /// <summary>Takes a cursor from outside: a time of 19 digits and the id of a line.</summary>
    public static bool TryReadCursor(string? cursor, out string? after)
    {
        after = cursor?.Replace('.', '|');
        return cursor is null || (cursor.Length == 19 + 1 + 4 + Sortable.KeyLength && cursor.AsSpan(0, 19).IndexOfAnyExceptInRange('0', '9') < 0
            && cursor.AsSpan(19, 5) is ".pst_" && Sortable.IsKey(cursor.AsSpan(24)));
    }

    /// <summary>The lines behind the balance, newest first.</summary>
    /// <param name="after">The place of the last line of the page before.</param>
    public async Task<Page<BalanceEntry>> EntriesAsync(Book book, Currency? only, string? after, int limit, CancellationToken cancellation)
    {
        var pages = await Task.WhenAll(
            from currency in Currencies
            where only is null || currency == only
            from account in Account.Merchants
            select EntriesAsync(book, account, currency, after, limit + 1, cancellation));
        var merged = pages.SelectMany(page => page).OrderBy(line => line.Order, StringComparer.Ordinal).Take(limit + 1).ToList();
        return new Page<BalanceEntry>([.. merged.Take(limit).Select(line => line.Entry)], merged.Count > limit ? merged[limit - 1].Order.Replace('|', '.') : null);
    }

    private async Task<List<(string Order, BalanceEntry Entry)>> EntriesAsync(
        Book book, Account account, Currency currency, string? after, int limit, CancellationToken cancellation)
    {
        var prefix = LedgerKeys.Postings(account, currency);
        var lines = new List<(string, BalanceEntry)>();
        await foreach (var row in books.ScanAsync(book, prefix + after, prefix + Books.Last, limit, cancellation: cancellation))
        {
            lines.Add((row.RowKey[prefix.Length..], new BalanceEntry(
                row.RowKey[(row.RowKey.LastIndexOf('|') + 1)..], "balance_entry", row.GetString("Type"), account.Name, row.GetInt64("Amount")!.Value,
                currency, row.GetString("Source"), row.GetString("Entry"), LedgerKeys.TimeOf(row.RowKey))));
            if (lines.Count == limit) break;
        }

        return lines;
    }
}
