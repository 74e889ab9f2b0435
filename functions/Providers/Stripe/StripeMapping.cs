using System.Collections.Frozen;
using System.Net;
using Harbour.Foundation;
using Stripe;

namespace Harbour.Providers.Stripe;

/// <summary>What we ask of Stripe. The same refusal can mean different things to different questions.</summary>
public enum StripeOperation { Create, Capture, Cancel, Refund, Find, FindRefund, CreateCustomer, SetUp, FindSetup, Detach }

/// <summary>
/// Stripe's words in ours: amounts, statuses and errors. Nothing here does I/O. The rule for errors is that only an explicit
/// answer decides: what Stripe says in so many words is a refusal, what it says it did not begin was not attempted, and all else
/// is unknown.
/// </summary>
public static class StripeMapping
{
    /// <summary>How Stripe counts a currency: its decimal places, and the multiple that amounts must be of.</summary>
    private readonly record struct Unit(int Exponent, long Step);

    // Stripe's own table (docs.stripe.com/currencies), which differs from ISO 4217: MGA counts whole ariary; ISK and UGX
    // have no minor unit but are written with two zeros; three-decimal currencies are rounded to ten. A currency that is
    // not named has two places in both tables, or is refused.
    private static readonly FrozenDictionary<string, Unit> Units = Build(
        (new Unit(0, 1), "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"),
        (new Unit(2, 100), "ISK UGX"),
        (new Unit(3, 10), "BHD JOD KWD OMR TND"));

    private static readonly FrozenSet<string> AlreadyDone = FrozenSet.Create(
        StringComparer.Ordinal, "payment_intent_unexpected_state", "charge_already_captured", "charge_expired_for_capture");

    /// <summary>Our minor units in Stripe's; false when Stripe does not take the currency, or can't say this amount exactly.</summary>
    public static bool TryToStripe(Money money, out long amount)
    {
        amount = 0;
        if (UnitOf(money.Currency) is not { } unit) return false;
        var scaled = (Int128)money.Minor;
        for (var i = money.Currency.Exponent; i < unit.Exponent; i++) scaled *= 10;
        for (var i = unit.Exponent; i < money.Currency.Exponent; i++)
        {
            if (scaled % 10 != 0) return false;
            scaled /= 10;
        }

        if (scaled % unit.Step != 0 || scaled > long.MaxValue || scaled < long.MinValue) return false;
        amount = (long)scaled;
        return true;
    }

    /// <summary>An amount of Stripe's in our minor units; false for a currency we don't know, or an amount we can't say exactly.</summary>
    /// <param name="currency">As Stripe writes it, in lower case.</param>
    public static bool TryFromStripe(long amount, string? currency, out Money money)
    {
        money = default;
        if (!Currency.TryParse(currency?.ToUpperInvariant(), out var known) || UnitOf(known) is not { } unit) return false;
        var scaled = (Int128)amount;
        for (var i = unit.Exponent; i < known.Exponent; i++) scaled *= 10;
        for (var i = known.Exponent; i < unit.Exponent; i++)
        {
            if (scaled % 10 != 0) return false;
            scaled /= 10;
        }

        if (scaled > long.MaxValue || scaled < long.MinValue) return false;
        money = new Money((long)scaled, known);
        return true;
    }

    /// <summary>The state of a PaymentIntent; <see cref="ProviderOutcome.Unknown"/> if it makes no sense to us.</summary>
    public static ProviderOutcome Payment(PaymentIntent? intent) =>
        PaymentOrNull(intent) is { } payment
            ? new ProviderOutcome.Known(payment)
            : new ProviderOutcome.Unknown($"payment_intent in state '{intent?.Status}' and currency '{intent?.Currency}'");

    /// <summary>The state of a refund; <see cref="ProviderOutcome.Unknown"/> if it makes no sense to us.</summary>
    public static ProviderOutcome Refund(Refund? refund)
    {
        ProviderRefundStatus? status = refund?.Status switch
        {
            "pending" or "requires_action" => ProviderRefundStatus.Pending,
            "succeeded" => ProviderRefundStatus.Succeeded,
            "failed" or "canceled" => ProviderRefundStatus.Failed,
            _ => null,
        };
        return status is not null && TryFromStripe(refund!.Amount, refund.Currency, out var amount)
            ? new ProviderOutcome.KnownRefund(new ProviderRefundState(refund.Id, status.Value, amount, refund.FailureReason))
            : new ProviderOutcome.Unknown($"refund in state '{refund?.Status}' and currency '{refund?.Currency}'");
    }

    public static ProviderOutcome Customer(Customer? customer) =>
        customer?.Id is { Length: > 0 } id ? new ProviderOutcome.KnownCustomer(id) : new ProviderOutcome.Unknown("a customer without an id");

    /// <summary>The state of a SetupIntent; <see cref="ProviderOutcome.Unknown"/> if it makes no sense to us.</summary>
    public static ProviderOutcome Setup(SetupIntent? intent)
    {
        ProviderSetupStatus? status = intent?.Status switch
        {
            "succeeded" when intent is { CustomerId: not null, PaymentMethodId: not null } => ProviderSetupStatus.Succeeded,
            "processing" => ProviderSetupStatus.Processing,
            "requires_action" => ProviderSetupStatus.RequiresAction,
            // As with payments: it is confirmed at once, so one that waits for another payment method was refused its own.
            "requires_payment_method" when intent.LastSetupError is not null => ProviderSetupStatus.Failed,
            "canceled" => ProviderSetupStatus.Failed,
            _ => null,
        };
        if (status is null || intent!.Id is null) return new ProviderOutcome.Unknown($"setup_intent in state '{intent?.Status}'");

        var (code, declineCode) = (status, intent.LastSetupError) switch
        {
            (ProviderSetupStatus.Failed, { } error) => Decline(error.Code, error.DeclineCode),
            (ProviderSetupStatus.Failed, null) => ("provider_refused", "canceled"),
            _ => ((string?)null, (string?)null),
        };
        return new ProviderOutcome.KnownSetup(new ProviderSetupState(
            intent.Id, status.Value, status is ProviderSetupStatus.Succeeded ? new ProviderStored(intent.CustomerId!, intent.PaymentMethodId!) : null,
            Card(intent.PaymentMethod?.Card ?? intent.LastSetupError?.PaymentMethod?.Card),
            status is ProviderSetupStatus.RequiresAction ? intent.NextAction?.RedirectToUrl?.Url : null, code, declineCode));
    }

    /// <summary>What an answer other than 200 means.</summary>
    /// <param name="error">Stripe's error object; null when the body was something else, such as a proxy's page.</param>
    public static ProviderOutcome Error(StripeOperation operation, HttpStatusCode status, StripeError? error)
    {
        var reason = $"{(int)status} {error?.Code ?? error?.Type ?? "without an error object"}";
        // Our key is wrong or Stripe has no time: it says so before it begins.
        if (status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.TooManyRequests)
            return new ProviderOutcome.NotAttempted(reason);
        // An idempotency error says that something else went out under our id, and nothing about how it ended.
        if (error is null || error.Type is "idempotency_error" or "api_error") return new ProviderOutcome.Unknown(reason);
        if (status is not (HttpStatusCode.BadRequest or HttpStatusCode.PaymentRequired or HttpStatusCode.NotFound))
            return new ProviderOutcome.Unknown(reason);
        if (operation is StripeOperation.Detach && error.Type == "invalid_request_error") return new ProviderOutcome.Detached();
        if (operation is StripeOperation.Find or StripeOperation.FindRefund or StripeOperation.FindSetup)
            return error.Code == "resource_missing" ? new ProviderOutcome.Absent() : new ProviderOutcome.Unknown(reason);
        if (error.Type == "card_error")
        {
            var (code, declineCode) = Decline(error.Code, error.DeclineCode);
            return new ProviderOutcome.Refused(code, declineCode, PaymentOrNull(error.PaymentIntent));
        }

        // A capture or cancel that is refused for the payment's state may be our own, done before: its state is the answer.
        if (operation is StripeOperation.Capture or StripeOperation.Cancel && error.Code is { } state && AlreadyDone.Contains(state))
            return PaymentOrNull(error.PaymentIntent) is { } payment ? new ProviderOutcome.Known(payment) : new ProviderOutcome.Unknown(reason);
        if (operation is StripeOperation.Create or StripeOperation.SetUp && error.Param?.StartsWith("payment_method", StringComparison.Ordinal) == true)
            return new ProviderOutcome.Refused("payment_method_invalid", error.Code, null);
        return new ProviderOutcome.Refused("provider_refused", error.Code, PaymentOrNull(error.PaymentIntent));
    }

    /// <summary>
    /// A refused card in our words: our code, and the issuer's reason in Stripe's. A card without funds is a declined card here, since
    /// <c>insufficient_funds</c> is what we say of a merchant's own balance.
    /// </summary>
    public static (string Code, string? DeclineCode) Decline(string? code, string? declineCode) => (code, declineCode) switch
    {
        ("card_declined", "expired_card") or ("expired_card", _) => ("expired_card", declineCode ?? "expired_card"),
        ("card_declined", "incorrect_cvc") or ("incorrect_cvc" or "invalid_cvc", _) => ("incorrect_cvc", declineCode ?? "incorrect_cvc"),
        ("card_declined", "processing_error") or ("processing_error", _) => ("processing_error", declineCode ?? "processing_error"),
        ("card_declined", "authentication_required") or ("authentication_required", _) => ("card_authentication_required", "authentication_required"),
        ("payment_intent_authentication_failure", _) => ("card_authentication_required", declineCode ?? "authentication_failed"),
        ("card_declined", _) => ("card_declined", declineCode),
        _ => ("card_declined", declineCode ?? code),
    };

    private static ProviderPayment? PaymentOrNull(PaymentIntent? intent)
    {
        ProviderStatus? status = intent?.Status switch
        {
            "succeeded" => ProviderStatus.Succeeded,
            "requires_capture" => ProviderStatus.Authorized,
            "processing" => ProviderStatus.Processing,
            "requires_action" => ProviderStatus.RequiresAction,
            "canceled" => ProviderStatus.Canceled,
            // We always confirm at once, so an intent that waits for another payment method is one whose own was refused.
            "requires_payment_method" when intent.LastPaymentError is not null => ProviderStatus.Failed,
            _ => null,
        };
        if (status is null || intent!.Id is null
            || !TryFromStripe(intent.Amount, intent.Currency, out var amount)
            || !TryFromStripe(intent.AmountReceived, intent.Currency, out var captured)) return null;

        var (code, declineCode) = status is ProviderStatus.Failed
            ? Decline(intent.LastPaymentError?.Code, intent.LastPaymentError?.DeclineCode)
            : (null, null);
        return new ProviderPayment(
            intent.Id, status.Value, amount, captured, Card(intent),
            status is ProviderStatus.RequiresAction ? intent.NextAction?.RedirectToUrl?.Url : null, code, declineCode)
        {
            Stored = intent is { SetupFutureUsage: "off_session", CustomerId: { } customer, PaymentMethodId: { } method } ? new ProviderStored(customer, method) : null,
        };
    }

    private static ProviderCard? Card(PaymentIntent intent)
    {
        if (intent.LatestCharge?.PaymentMethodDetails?.Card is { Brand: not null, Last4: not null } used)
            return new ProviderCard(used.Brand, used.Last4, used.Country, used.Fingerprint);
        // A refused card is told by the error alone when the charge is not expanded, as inside an error object.
        return Card(intent.LastPaymentError?.PaymentMethod?.Card);
    }

    private static ProviderCard? Card(PaymentMethodCard? card) =>
        card is { Brand: not null, Last4: not null } ? new ProviderCard(card.Brand, card.Last4, card.Country, card.Fingerprint) : null;

    private static Unit? UnitOf(Currency currency) =>
        Units.TryGetValue(currency.Code, out var unit) ? unit : currency.Exponent == 2 ? new Unit(2, 1) : null;

    private static FrozenDictionary<string, Unit> Build(params (Unit Unit, string Codes)[] rows) =>
        rows.SelectMany(row => row.Codes.Split(' ').Select(code => (code, row.Unit)))
            .ToFrozenDictionary(row => row.code, row => row.Unit, StringComparer.Ordinal);
}
