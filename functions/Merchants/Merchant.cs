using System.Collections.Immutable;
using Harbour.Foundation;

namespace Harbour.Merchants;

public enum MerchantStatus { Active, Suspended }

/// <summary>
/// Who is paid: the account that charges, balances and credentials belong to. It settles in one of its settlement currencies, each
/// with its own fee, and may be refunded into a debt of at most its refund allowance.
/// </summary>
/// <param name="Name">As the merchant's contract has it.</param>
/// <param name="DefaultSettlementCurrency">One of the keys of <paramref name="Fees"/>: what a charge settles in when nothing else is asked.</param>
/// <param name="Fees">The fee per settlement currency.</param>
/// <param name="RefundAllowance">Minor units per currency that refunds may take the available balance below zero.</param>
/// <param name="RequestsPerSecond">The steady rate of each of the merchant's credentials, on each worker.</param>
/// <param name="Burst">The requests that may come at once after a pause.</param>
/// <param name="AllowedFrom">Where calls of every credential must come from; a credential may narrow it.</param>
public sealed record Merchant(
    Id<Merchant> Id, string Name, MerchantStatus Status, Currency DefaultSettlementCurrency, FeeSchedule Fees,
    ImmutableDictionary<Currency, long> RefundAllowance, int RequestsPerSecond, int Burst, AllowList AllowedFrom) : IHasId
{
    /// <summary>The live default, requests per second and at once.</summary>
    public const int DefaultRequestsPerSecond = 100, DefaultBurst = 200;

    public static string Prefix => "mch_";

    /// <summary>The currencies that a charge of this merchant may settle in.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public IEnumerable<Currency> SettlementCurrencies => Fees.Rates.Keys.OrderBy(c => c.Code, StringComparer.Ordinal);

    public bool SettlesIn(Currency currency) => Fees.Rates.ContainsKey(currency);

    /// <summary>How far below zero refunds may take the available balance: never negative, zero where nothing is agreed.</summary>
    public Money RefundAllowanceIn(Currency currency) => new(RefundAllowance.GetValueOrDefault(currency), currency);

    /// <summary>A merchant on standard terms: 2.9 % and HKD 2.35, USD 0.30 or CNY 2.15 for each charge.</summary>
    public static Merchant OnStandardTerms(Id<Merchant> id, string name) => new(
        id, name, MerchantStatus.Active, Currency.HKD, FeeSchedule.Standard,
        ImmutableDictionary<Currency, long>.Empty.Add(Currency.HKD, 500_000).Add(Currency.USD, 64_000).Add(Currency.CNY, 460_000),
        DefaultRequestsPerSecond, DefaultBurst, AllowList.Everyone);
}

/// <param name="Percent">A fraction: 0.029 is 2.9 %.</param>
/// <param name="Fixed">Minor units, once per charge.</param>
public sealed record FeeRate(decimal Percent, long Fixed);

/// <summary>What a charge costs the merchant, by the currency that it settles in.</summary>
public sealed record FeeSchedule(ImmutableDictionary<Currency, FeeRate> Rates)
{
    public static readonly FeeSchedule Standard = new(ImmutableDictionary<Currency, FeeRate>.Empty
        .Add(Currency.HKD, new(0.029m, 235)).Add(Currency.USD, new(0.029m, 30)).Add(Currency.CNY, new(0.029m, 215)));

    /// <summary>
    /// The fee on all that a charge has captured so far, rounded half up to the minor unit: HKD 128.00 costs HKD 6.06. It is taken
    /// of the total, not of each capture, so that several captures cost what one would; each posts the difference to what is booked.
    /// </summary>
    /// <param name="capturedTotal">In a settlement currency, not negative. Nothing captured costs nothing.</param>
    /// <exception cref="ArgumentOutOfRangeException">The total is negative.</exception>
    /// <exception cref="InvalidOperationException">The merchant does not settle in this currency.</exception>
    public Money FeeOf(Money capturedTotal)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capturedTotal.Minor, nameof(capturedTotal));
        if (!Rates.TryGetValue(capturedTotal.Currency, out var rate)) throw new InvalidOperationException($"There is no fee in {capturedTotal.Currency}.");
        return capturedTotal.IsZero ? capturedTotal : capturedTotal.Share(rate.Percent) + new Money(rate.Fixed, capturedTotal.Currency);
    }
}
