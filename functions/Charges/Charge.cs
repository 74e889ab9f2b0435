using System.Text.Json.Serialization;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Risk;

namespace Harbour.Charges;

public enum ChargeStatus { Processing, RequiresAction, Authorized, Succeeded, Failed, Canceled, Unknown }

public enum CaptureMethod { Automatic, Manual }

/// <param name="Type">card, paypal, alipay_hk, wechat_pay_hk or fps.</param>
/// <param name="Card">What the provider said of the card; null until it did, and for other methods.</param>
public sealed record ChargeMethod(string Type, ProviderCard? Card);

/// <param name="Name">The provider's name in the API.</param>
/// <param name="Reference">The provider's own id of the payment; null until it is known.</param>
/// <param name="Endpoint">primary or backup.</param>
public sealed record ChargeProvider(string Name, string? Reference, string Endpoint);

/// <summary>What the charge brings the merchant so far: nothing before it is captured.</summary>
/// <param name="FxRate">A decimal as text; null without conversion.</param>
public sealed record Settlement(Currency Currency, long Gross, long Fee, long Net, string? FxRate, string? Quote);

public sealed record ChargeAction(string Type, string Url);

/// <param name="Code">One of the refusals of the catalogue.</param>
/// <param name="DeclineCode">The issuer's reason in the provider's words, if any.</param>
public sealed record ChargeFailure(string Code, string? DeclineCode, string Message);

/// <summary>A capture or cancellation that was sent, or may have been, and is not settled. A charge has at most one.</summary>
/// <param name="Id">The provider's idempotency key for it.</param>
/// <param name="Amount">Minor units to capture; zero for a cancellation.</param>
/// <param name="Final">True releases what is not captured.</param>
public sealed record PendingChange(string Kind, string Id, long Amount, bool Final);

/// <summary>
/// A charge takes money from a payer. Its rules:
/// it is made <c>processing</c>, and only an explicit answer of the provider makes it authorized, succeeded or failed;
/// an answer that never came makes it <c>unknown</c>, which resolves by asking the provider, never by guessing;
/// what is captured never exceeds what was authorised, and what is refunded or being refunded never what is captured;
/// one capture or cancellation is under way at a time; failed and canceled are final. Every change that a caller can see counts the
/// version up by one.
/// </summary>
public sealed record Charge : IHasId
{
    public static string Prefix => "ch_";

    public required Id<Charge> Id { get; init; }
    public required Mode Mode { get; init; }
    public required ChargeStatus Status { get; init; }

    /// <summary>What the payer pays; what is authorised when it is captured later.</summary>
    public required Money Amount { get; init; }

    /// <summary>Minor units captured so far.</summary>
    public long Captured { get; init; }

    /// <summary>Minor units refunded or being refunded.</summary>
    public long Refunded { get; init; }

    public required CaptureMethod CaptureMethod { get; init; }
    public string? Reference { get; init; }
    public string? Description { get; init; }
    public Id<Customer>? Customer { get; init; }

    /// <summary>The mandate that is charged, or that this charge made.</summary>
    public Id<Mandate>? Mandate { get; init; }

    /// <summary>True when the charge makes a mandate, once it is authorised.</summary>
    public bool SetupMandate { get; init; }

    /// <summary>The payment method that the provider stored for <see cref="SetupMandate"/>. Never shown.</summary>
    public ProviderStored? Stored { get; init; }

    public required ChargeMethod Method { get; init; }
    public required ChargeProvider Provider { get; init; }
    public required RiskAssessment Risk { get; init; }
    public required Settlement Settlement { get; init; }
    public ChargeAction? NextAction { get; init; }
    public PendingChange? Pending { get; init; }
    public ChargeFailure? Failure { get; init; }
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }
    public int Version { get; init; } = 1;

    /// <summary>The request that made the charge.</summary>
    public required string RequestId { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>What can still be refunded.</summary>
    [JsonIgnore]
    public Money Refundable => Amount with { Minor = Captured - Refunded };

    /// <summary>What can still be captured.</summary>
    [JsonIgnore]
    public Money Capturable => Amount with { Minor = Status is ChargeStatus.Authorized ? Amount.Minor - Captured : 0 };

    /// <summary>True once no answer of the provider can change the payment's fate any more.</summary>
    [JsonIgnore]
    public bool IsResolved => Status is not (ChargeStatus.Processing or ChargeStatus.Unknown);

    /// <summary>The event that tells of this status; null for the one status that nobody is told of.</summary>
    [JsonIgnore]
    public string? Event => Status switch
    {
        ChargeStatus.Succeeded => "charge.succeeded",
        ChargeStatus.Failed => "charge.failed",
        ChargeStatus.RequiresAction => "charge.requires_action",
        ChargeStatus.Authorized => "charge.authorized",
        ChargeStatus.Canceled => "charge.canceled",
        ChargeStatus.Unknown => "charge.unknown",
        _ => null,
    };

    /// <summary>The allow-list of changes of status; what is not here is not possible.</summary>
    private static readonly Dictionary<ChargeStatus, ChargeStatus[]> Transitions = new()
    {
        [ChargeStatus.Processing] = [ChargeStatus.Processing, ChargeStatus.RequiresAction, ChargeStatus.Authorized, ChargeStatus.Succeeded, ChargeStatus.Failed, ChargeStatus.Canceled, ChargeStatus.Unknown],
        [ChargeStatus.Unknown] = [ChargeStatus.Processing, ChargeStatus.RequiresAction, ChargeStatus.Authorized, ChargeStatus.Succeeded, ChargeStatus.Failed, ChargeStatus.Canceled],
        [ChargeStatus.RequiresAction] = [ChargeStatus.Processing, ChargeStatus.Authorized, ChargeStatus.Succeeded, ChargeStatus.Failed, ChargeStatus.Canceled],
        [ChargeStatus.Authorized] = [ChargeStatus.Authorized, ChargeStatus.Succeeded, ChargeStatus.Canceled],
        [ChargeStatus.Succeeded] = [ChargeStatus.Succeeded],
        [ChargeStatus.Failed] = [],
        [ChargeStatus.Canceled] = [],
    };

    public bool CanBecome(ChargeStatus next) => Transitions[Status].Contains(next);

    /// <summary>The charge with a capture under way.</summary>
    /// <param name="amount">Minor units; all that is left if not said.</param>
    public Result<Charge> BeginCapture(string id, long? amount, bool final)
    {
        if (Status is not ChargeStatus.Authorized) return NotPossible("captured");
        if (Pending is not null) return Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromSeconds(1) };
        if (amount < 1) return Errors.AmountTooSmall.At("amount", 1, Amount.Currency);
        if (amount > Capturable.Minor) return Errors.CaptureExceedsAuthorized.At("amount", Capturable.Minor, Amount.Currency);
        return this with { Pending = new PendingChange("capture", id, amount ?? Capturable.Minor, final) };
    }

    /// <summary>The charge with a cancellation under way: it voids what is authorised and not captured.</summary>
    public Result<Charge> BeginCancel(string id)
    {
        if (Status is not (ChargeStatus.Authorized or ChargeStatus.RequiresAction)) return NotPossible("canceled");
        if (Pending is not null) return Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromSeconds(1) };
        return this with { Pending = new PendingChange("cancel", id, 0, true) };
    }

    /// <summary>
    /// The charge after the provider said how it stands with the capture or cancellation under way; null while that says nothing
    /// yet. A provider that still holds the whole authorisation has not begun, but may.
    /// </summary>
    public Charge? AfterChange(ProviderOutcome outcome, DateTimeOffset now) => (outcome, Pending) switch
    {
        (ProviderOutcome.Known { Payment: var payment }, { Kind: "capture" } capture) when payment.Captured.Minor >= Captured + capture.Amount => Observed(payment, now),
        (ProviderOutcome.Known { Payment: { Status: ProviderStatus.Canceled or ProviderStatus.Succeeded } payment }, not null) => Observed(payment, now),
        (ProviderOutcome.Refused, not null) => this with { Pending = null },
        _ => null,
    };

    /// <summary>The charge as the provider has it, whatever is under way here.</summary>
    public Charge? Observed(ProviderPayment payment, DateTimeOffset now) => (this with { Pending = null }).Taken(payment, now);

    private Error NotPossible(string done) => Errors.InvalidTransition.With("charge", Name(Status), done).About("charge", Id.Value);

    private static string Name(ChargeStatus status) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString());

    /// <summary>The charge as the provider's outcome makes it. Null when the outcome leaves nothing behind, or changes nothing.</summary>
    /// <exception cref="InvalidOperationException">The outcome is not one that a charge can take in this status.</exception>
    public Charge? After(ProviderOutcome outcome, DateTimeOffset now) => outcome switch
    {
        ProviderOutcome.Known known => Taken(known.Payment, now),
        ProviderOutcome.Refused refused => Failed(refused.Code, refused.DeclineCode, refused.Payment, now),
        ProviderOutcome.Unknown when Status is ChargeStatus.Processing => Changed(ChargeStatus.Unknown, now),
        _ => null,
    };

    /// <summary>The charge after it turned out that the provider never received it.</summary>
    public Charge NeverReceived(DateTimeOffset now) => Failed(Errors.NotProcessed.Code, null, null, now);

    /// <summary>The charge with more of it refunded or being refunded, or less again when a refund failed.</summary>
    /// <param name="change">Negative when a refund failed.</param>
    public Charge Refund(Money change, DateTimeOffset now)
    {
        var refunded = checked(Refunded + change.Minor);
        if (change.Currency != Amount.Currency || refunded < 0 || refunded > Captured) throw new InvalidOperationException($"{refunded} of {Captured} cannot be refunded on {Id}.");
        return this with { Refunded = refunded, Version = Version + 1, UpdatedAt = now };
    }

    private Charge? Taken(ProviderPayment payment, DateTimeOffset now)
    {
        var seen = this with
        {
            Method = Method with { Card = payment.Card ?? Method.Card },
            Provider = Provider with { Reference = payment.Reference },
            Stored = payment.Stored ?? Stored,
            NextAction = payment.Status is ProviderStatus.RequiresAction && payment.RedirectUrl is { } url ? new ChargeAction("redirect", url) : null,
        };
        return payment.Status switch
        {
            ProviderStatus.Succeeded => seen.Capture(payment.Captured.Minor, ChargeStatus.Succeeded, now),
            ProviderStatus.Authorized => seen.Capture(payment.Captured.Minor, ChargeStatus.Authorized, now),
            ProviderStatus.RequiresAction => seen.Changed(ChargeStatus.RequiresAction, now),
            // "Processing" is news only once: it says that the provider has the payment.
            ProviderStatus.Processing => Status is ChargeStatus.Processing && Provider.Reference == payment.Reference ? null : seen.Changed(ChargeStatus.Processing, now),
            // What was captured before the rest was voided stays taken.
            ProviderStatus.Canceled when payment.Captured.Minor > 0 => seen.Capture(payment.Captured.Minor, ChargeStatus.Succeeded, now),
            ProviderStatus.Canceled => seen.Changed(ChargeStatus.Canceled, now),
            _ => Failed(payment.FailureCode ?? Errors.ProviderRefused.Code, payment.DeclineCode, payment, now),
        };
    }

    /// <summary>The charge with its captured total; fees follow the total, in the commit that posts them.</summary>
    internal Charge Capture(long total, ChargeStatus next, DateTimeOffset now)
    {
        if (total > Amount.Minor || total < Captured) throw new InvalidOperationException($"The captured total of {Id} cannot become {total}.");
        return Changed(next, now) with { Captured = total };
    }

    private Charge Failed(string code, string? declineCode, ProviderPayment? payment, DateTimeOffset now)
    {
        var error = Errors.Decline(code);
        return Changed(ChargeStatus.Failed, now) with
        {
            Failure = new ChargeFailure(error.Code, declineCode, error.Text.English),
            Method = Method with { Card = payment?.Card ?? Method.Card },
            Provider = Provider with { Reference = payment?.Reference ?? Provider.Reference },
            NextAction = null,
        };
    }

    internal Charge Changed(ChargeStatus next, DateTimeOffset now) =>
        CanBecome(next) ? this with { Status = next, Version = Version + 1, UpdatedAt = now }
            : throw new InvalidOperationException($"{Id} is {Status} and cannot become {next}.");
}

/// <summary>The charge as the API shows it.</summary>
public sealed record ChargeView(
    string Id, string Object, Mode Mode, ChargeStatus Status, long Amount, Currency Currency, long AmountCaptured, long AmountRefunded, long AmountRefundable,
    CaptureMethod CaptureMethod, string? Reference, string? Description, string? Customer, string? Mandate, Dictionary<string, object?> PaymentMethod,
    ChargeProvider Provider, object? ThreeDSecure, RiskAssessment Risk, Settlement Settlement, ChargeAction? NextAction, ChargeFailure? Failure,
    IReadOnlyDictionary<string, string> Metadata, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static ChargeView Of(Charge charge) => new(
        charge.Id.Value, "charge", charge.Mode, charge.Status, charge.Amount.Minor, charge.Amount.Currency, charge.Captured, charge.Refunded, charge.Refundable.Minor,
        charge.CaptureMethod, charge.Reference, charge.Description, charge.Customer?.Value, charge.Mandate?.Value,
        new() { ["type"] = charge.Method.Type, [charge.Method.Type] = charge.Method.Card },
        charge.Provider, null, charge.Risk, charge.Settlement, charge.NextAction, charge.Failure,
        charge.Metadata, charge.Version, charge.RequestId, charge.CreatedAt, charge.UpdatedAt);
}
