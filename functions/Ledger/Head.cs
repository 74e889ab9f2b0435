using Azure;
using Harbour.Foundation;

namespace Harbour.Ledger;

/// <summary>
/// The snapshot of one account in one currency: the sum of all postings up to the cut. A balance is the head plus the postings
/// after the cut. Credits only append; a debit replaces the head under its tag, in the commit that posts the debit, so of two
/// debits that saw the same head one loses and reads again.
/// </summary>
/// <param name="Sum">Minor units, all postings up to and including the cut.</param>
/// <param name="Cut">Postings stamped later are not in the sum.</param>
public sealed record Head(long Sum, DateTimeOffset Cut)
{
    /// <summary>
    /// How far the cut stays behind the time of reading. A try of a commit ends after 10 s and clocks differ by 15 s at most, so
    /// what is stamped before the cut is visible when the cut is made.
    /// </summary>
    public static readonly TimeSpan Lag = TimeSpan.FromSeconds(60);

    /// <summary>Before the first posting of any account.</summary>
    public static readonly Head Empty = new(0, DateTimeOffset.UnixEpoch);
}

/// <summary>An account as it was read: its balance, and what a debit needs to take its head.</summary>
public sealed class Holding
{
    private readonly ETag? tag;
    private readonly Head next;

    internal Holding(Account account, Currency currency, Head head, ETag? tag, IEnumerable<(long Amount, DateTimeOffset At)> window, DateTimeOffset readAt)
    {
        Account = account;
        this.tag = tag;
        var (sum, below) = (0L, 0L);
        var cut = readAt - Head.Lag > head.Cut ? readAt - Head.Lag : head.Cut;
        foreach (var (amount, at) in window)
        {
            sum += amount;
            if (at <= cut) below += amount;
        }

        next = new Head(head.Sum + below, cut);
        Balance = new Money(head.Sum + sum, currency);
    }

    public Account Account { get; }

    /// <summary>What the account held when its head was read, plus credits since.</summary>
    public Money Balance { get; }

    /// <summary>Takes the head in this commit: it fails if another debit took it since this was read.</summary>
    public void Take(Commit commit) => commit.ReplaceHead(Account, Balance.Currency, tag, next);
}
