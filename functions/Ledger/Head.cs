using Azure;
using Harbour.Foundation;

namespace Harbour.Ledger;

/// <summary>
/// The snapshot of one account in one currency: the sum of all postings up to the cut. A balance is the head plus the postings
/// after the cut. Credits only append; a debit replaces the head under its tag, in the commit that posts the debit, so of two
/// debits that saw the same head one loses and reads again.
/// </summary>
/// <param name="Sum">Minor units, all postings up to and including the cut.</param>
/// <param name="Cut">Postings stamped later are not in the sum. A whole millisecond, because that is what is stored.</param>
/// <param name="CheckedSum">The sum at <paramref name="CheckedCut"/>: the cut that the next check starts from.</param>
/// <param name="CheckedCut">Up to here nothing slipped in behind the cut when it was last looked at.</param>
/// <param name="Funded">Own money that lies in the float because this account is below zero, in minor units.</param>
public sealed record Head(long Sum, DateTimeOffset Cut, long CheckedSum, DateTimeOffset CheckedCut, long Funded = 0)
{
    /// <summary>
    /// How far the cut stays behind the time of reading. A try of a commit ends after 10 s and clocks differ by 15 s at most, so
    /// what is stamped before the cut is visible when the cut is made.
    /// </summary>
    public static readonly TimeSpan Lag = TimeSpan.FromSeconds(60);

    /// <summary>Before the first posting of any account.</summary>
    public static readonly Head Empty = new(0, DateTimeOffset.UnixEpoch, 0, DateTimeOffset.UnixEpoch);

    /// <summary>The latest cut that may be made from what was read at a moment.</summary>
    public static DateTimeOffset CutAt(DateTimeOffset readAt)
    {
        var cut = readAt - Lag;
        return cut.AddTicks(-(cut.Ticks % TimeSpan.TicksPerMillisecond));
    }
}

/// <summary>An account as it was read: its balance, and what a debit or an advance of the head needs.</summary>
public sealed class Holding
{
    private readonly ETag? tag;
    private readonly Head head;
    private readonly Head next;

    /// <param name="postings">The postings after the head's cut, or, where the head is being checked, after its checked cut.</param>
    internal Holding(Account account, Currency currency, Head head, ETag? tag, IReadOnlyCollection<(long Amount, DateTimeOffset At)> postings, DateTimeOffset readAt, bool check)
    {
        Account = account;
        this.tag = tag;
        this.head = head;
        var sumAtCut = check ? head.CheckedSum + postings.Where(p => p.At <= head.Cut).Sum(p => p.Amount) : head.Sum;
        Slip = sumAtCut - head.Sum;

        var after = postings.Where(p => p.At > head.Cut).ToList();
        var cut = Head.CutAt(readAt) > head.Cut ? Head.CutAt(readAt) : head.Cut;
        var sum = sumAtCut + after.Where(p => p.At <= cut).Sum(p => p.Amount);
        next = check ? new Head(sum, cut, sumAtCut, head.Cut, head.Funded) : head with { Sum = sum, Cut = cut };
        Balance = new Money(sumAtCut + after.Sum(p => p.Amount), currency);
    }

    public Account Account { get; }

    /// <summary>What the account held when its head was read, plus credits since.</summary>
    public Money Balance { get; }

    /// <summary>What slipped in behind the cut since the last check, in minor units; taking the head heals it. Zero unless a clock was far off.</summary>
    public long Slip { get; }

    /// <summary>True when taking the head would change it: there are postings to fold in, a slip to heal or own money to move.</summary>
    public bool IsBehind => next.Sum != head.Sum || Slip != 0 || Shortfall(Balance) != head.Funded;

    /// <summary>
    /// Takes the head in this commit, which fails if another debit took it since this was read. A balance that a debit leaves below
    /// zero is covered with own money in the same commit, so that no other merchant's float ever carries it; own money goes back
    /// when the balance has recovered.
    /// </summary>
    /// <param name="change">What the commit posts to the account in all: negative for a debit.</param>
    /// <param name="source">The object that the debit is for.</param>
    public void Take(Commit commit, Money change, string source)
    {
        var funded = Shortfall(Balance + change);
        var moved = new Money(funded - head.Funded, Balance.Currency);
        commit.Post("loan", source, (Account.FloatBank, -moved), (Account.OwnBank, moved));
        commit.ReplaceHead(Account, Balance.Currency, tag, next with { Funded = funded });
    }

    private static long Shortfall(Money balance) => Math.Max(0, -balance.Minor);
}
