using System.Collections.Frozen;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Harbour.Sandbox.Providers;

/// <summary>What a test card does when it is charged.</summary>
internal enum CardBehaviour
{
    Approve,
    Decline,

    /// <summary>The payer must authenticate; then it works.</summary>
    Challenge,

    /// <summary>The payer must authenticate; then it is declined.</summary>
    ChallengeThenDecline,

    /// <summary>The payment is taken, and no answer ever comes.</summary>
    TakeAndHang,

    /// <summary>No answer ever comes, and nothing is taken.</summary>
    Hang,

    /// <summary>The payment is taken, and the answer is 500, also the second time.</summary>
    TakeAndFail,

    /// <summary>The provider has no time: 429.</summary>
    Busy,

    /// <summary>The first charges without the payer present are declined.</summary>
    FailOffSession,
}

/// <param name="Code">Stripe's error code of a decline, and <paramref name="DeclineCode"/> the issuer's reason.</param>
/// <param name="RiskScore">Radar's, from 0 to 99; from 65 elevated, from 75 highest.</param>
/// <param name="Failures">How many off-session charges fail before they work.</param>
internal sealed record Card(
    string Token, string Brand, string Last4, string Country, CardBehaviour Behaviour,
    string? Code = null, string? DeclineCode = null, int RiskScore = 12, int Failures = 0)
{
    /// <summary>The same for the same card, whatever token it came by.</summary>
    public string Fingerprint => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{Brand} {Last4} {Country}")))[..16];

    public string RiskLevel => RiskScore switch { >= 75 => "highest", >= 65 => "elevated", _ => "normal" };
}

/// <summary>
/// The test cards: the tokens that the sandbox promises, and Stripe's own test payment methods. A token <c>tok_x</c> becomes the
/// payment method <c>pm_x</c>, which can be charged again.
/// </summary>
internal static class Cards
{
    private const string RecurringFails = "tok_recurring_fails_";

    private static readonly FrozenDictionary<string, Card> Known = new Card[]
    {
        Approves("tok_visa", "visa", "4242"),
        Approves("tok_mastercard", "mastercard", "4444"),
        Approves("tok_unionpay", "unionpay", "0005") with { Country = "CN" },
        Declines("tok_declined", "0002", "card_declined", "generic_decline"),
        Declines("tok_insufficient_funds", "9995", "card_declined", "insufficient_funds"),
        Declines("tok_expired_card", "0069", "expired_card", "expired_card"),
        Does("tok_3ds_required", "3220", CardBehaviour.Challenge),
        Does("tok_3ds_failed", "1629", CardBehaviour.ChallengeThenDecline) with { Code = "card_declined", DeclineCode = "generic_decline" },
        Approves("tok_risky", "visa", "9235") with { RiskScore = 85 },
        Does("tok_timeout", "4242", CardBehaviour.TakeAndHang),
        Does("tok_timeout_not_charged", "4242", CardBehaviour.Hang),
        Does("tok_provider_error", "4242", CardBehaviour.TakeAndFail),
        Does("tok_provider_busy", "4242", CardBehaviour.Busy),
        Does("tok_recurring_stolen", "9979", CardBehaviour.FailOffSession) with { Failures = int.MaxValue, Code = "card_declined", DeclineCode = "stolen_card" },

        Approves("pm_card_visa", "visa", "4242"),
        Approves("pm_card_mastercard", "mastercard", "4444"),
        Approves("pm_card_unionpay", "unionpay", "0005") with { Country = "CN" },
        Approves("pm_card_createDispute", "visa", "0259"),
        Declines("pm_card_visa_chargeDeclined", "0002", "card_declined", "generic_decline"),
        Declines("pm_card_chargeDeclined", "0002", "card_declined", "generic_decline"),
        Declines("pm_card_visa_chargeDeclinedInsufficientFunds", "9995", "card_declined", "insufficient_funds"),
        Declines("pm_card_chargeDeclinedInsufficientFunds", "9995", "card_declined", "insufficient_funds"),
        Declines("pm_card_visa_chargeDeclinedLostCard", "9987", "card_declined", "lost_card"),
        Declines("pm_card_visa_chargeDeclinedStolenCard", "9979", "card_declined", "stolen_card"),
        Declines("pm_card_chargeDeclinedExpiredCard", "0069", "expired_card", "expired_card"),
        Declines("pm_card_chargeDeclinedIncorrectCvc", "0127", "incorrect_cvc", "incorrect_cvc"),
        Declines("pm_card_chargeDeclinedProcessingError", "0119", "processing_error", "processing_error"),
        Declines("pm_card_chargeCustomerFail", "0341", "card_declined", "generic_decline"),
        Does("pm_card_authenticationRequired", "3184", CardBehaviour.Challenge),
        Does("pm_card_threeDSecure2Required", "3220", CardBehaviour.Challenge),
    }.ToFrozenDictionary(card => card.Token, StringComparer.Ordinal);

    /// <summary>The card behind a token or payment method; null if there is none.</summary>
    public static Card? Find(string? token)
    {
        if (token is null) return null;
        if (Known.TryGetValue(token, out var card)) return card;
        if (token.StartsWith("pm_", StringComparison.Ordinal)) return Find("tok_" + token[3..]);
        return token.StartsWith(RecurringFails, StringComparison.Ordinal)
            && int.TryParse(token.AsSpan(RecurringFails.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var failures)
            ? Does(token, "0341", CardBehaviour.FailOffSession) with { Failures = failures, Code = "card_declined", DeclineCode = "insufficient_funds" }
            : null;
    }

    private static Card Approves(string token, string brand, string last4) => new(token, brand, last4, "US", CardBehaviour.Approve);
    private static Card Does(string token, string last4, CardBehaviour behaviour) => new(token, "visa", last4, "US", behaviour);
    private static Card Declines(string token, string last4, string code, string declineCode) =>
        new(token, "visa", last4, "US", CardBehaviour.Decline, code, declineCode);
}
