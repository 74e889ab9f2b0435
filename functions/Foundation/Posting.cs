using System.Globalization;

namespace Harbour.Foundation;

/// <summary>
/// An account of a merchant's books. Amounts are signed from the merchant's side: a credit (what the merchant is owed, what we
/// earn) is positive, a debit (what a provider or a bank owes us) negative, so that every entry sums to zero.
/// </summary>
/// <param name="Name">As it stands in row keys and in the API.</param>
/// <param name="Guarded">Money held for others: it may not be overdrawn, so a debit must take the account's head.</param>
public readonly record struct Account(string Name, bool Guarded = false)
{
    public static readonly Account MerchantAvailable = new("merchant_available", Guarded: true);
    public static readonly Account MerchantPending = new("merchant_pending", Guarded: true);
    public static readonly Account MerchantReserved = new("merchant_reserved", Guarded: true);
    public static readonly Account Fees = new("fees");
    public static readonly Account OwnBank = new("own_bank");

    /// <summary>The bank account that holds customers' money and nothing else (Cap. 584, Schedule 3).</summary>
    public static readonly Account FloatBank = new("float_bank");

    /// <summary>Money that has left a merchant's balance and has not yet reached its payee: a refund on its way.</summary>
    public static readonly Account InTransitOut = new("in_transit_out");

    /// <summary>What a provider has taken for us and not yet paid out.</summary>
    public static Account ProviderReceivable(string provider) => new("provider_receivable:" + provider);

    /// <summary>The accounts that a merchant sees, in the order of the balance.</summary>
    public static readonly IReadOnlyList<Account> Merchants = [MerchantAvailable, MerchantPending, MerchantReserved];

    public override string ToString() => Name;
}

/// <summary>One line of the ledger: an immutable row.</summary>
/// <param name="Entry">The entry that this line is part of; its lines sum to zero in each currency.</param>
/// <param name="Type">charge, fee, refund, fx, split, tax, transfer, top_up, loan or adjustment.</param>
/// <param name="Source">The id of the object that it was posted for.</param>
/// <param name="CreatedAt">When it was committed: the commit stamps it anew at every try.</param>
public sealed record Posting(string Id, string Entry, string Type, string Source, Account Account, Money Amount, DateTimeOffset CreatedAt);

/// <summary>
/// The row keys of the ledger. A posting's key carries its time inverted, so that a table which scans forward lists the newest first
/// and "after the cut" is the beginning of the range.
/// </summary>
public static class LedgerKeys
{
    /// <summary>The beginning of the keys of all heads.</summary>
    public const string Heads = "head|";

    public static string Head(Account account, Currency currency) => $"{Heads}{account.Name}|{currency.Code}";

    /// <summary>The beginning of the keys of an account's postings in one currency.</summary>
    public static string Postings(Account account, Currency currency) => $"post|{account.Name}|{currency.Code}|";

    /// <summary>The first key that is not later than a moment: keys below it are of postings after it.</summary>
    public static string PostingsAt(Account account, Currency currency, DateTimeOffset at) =>
        Postings(account, currency) + (DateTime.MaxValue.Ticks - at.UtcTicks).ToString("D19", CultureInfo.InvariantCulture);

    public static string Posting(Account account, Currency currency, DateTimeOffset at, string id) => PostingsAt(account, currency, at) + "|" + id;

    /// <summary>The time in a posting's key, to the tick.</summary>
    public static DateTimeOffset TimeOf(string key) =>
        new(DateTime.MaxValue.Ticks - long.Parse(key.AsSpan(key.LastIndexOf('|') - 19, 19), CultureInfo.InvariantCulture), TimeSpan.Zero);
}
