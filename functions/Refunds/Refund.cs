using System.Text.Json.Serialization;
using Harbour.Charges;
using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Refunds;

public enum RefundStatus { Pending, Succeeded, Failed, Unknown }

/// <param name="Code">One of the refusals of the catalogue.</param>
public sealed record RefundFailure(string Code, string? ProviderCode, string Message);

/// <summary>
/// A refund gives a payer money back. Its rules: it is of a charge of which something is captured, in the charge's currency; all
/// refunds of a charge, those under way included, never exceed what was captured; the money leaves the merchant's balance before the
/// provider is asked, and comes back when the refund fails. Only the provider's word makes it succeeded or failed; an answer that
/// never came makes it <c>unknown</c>, which resolves by asking.
/// </summary>
public sealed record Refund : IHasId
{
    public static string Prefix => "re_";

    /// <summary>Why money is given back, in the words of the API.</summary>
    public static readonly string[] Reasons = ["duplicate", "fraudulent", "requested_by_customer"];

    public required Id<Refund> Id { get; init; }
    public required Id<Charge> Charge { get; init; }
    public required Mode Mode { get; init; }
    public required Money Amount { get; init; }
    public RefundStatus Status { get; init; }
    public string? Reason { get; init; }
    public string? Reference { get; init; }
    public required string Provider { get; init; }

    /// <summary>The provider's own id of the refund; null until it is known.</summary>
    public string? ProviderReference { get; init; }

    public RefundFailure? Failure { get; init; }
    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    [JsonIgnore]
    public bool IsResolved => Status is RefundStatus.Succeeded or RefundStatus.Failed;

    /// <summary>What a refund of a charge may be.</summary>
    /// <param name="amount">Minor units; all that is left if not said.</param>
    public static Result<Money> AmountOf(Charge charge, long? amount)
    {
        if (charge.Captured == 0) return Errors.InvalidTransition.With("charge", Snake(charge.Status), "refunded").About("charge", charge.Id.Value);
        if (amount < 1) return Errors.AmountTooSmall.At("amount", 1, charge.Amount.Currency);
        var asked = charge.Amount with { Minor = amount ?? charge.Refundable.Minor };
        if (asked > charge.Refundable || asked.IsZero) return Errors.RefundExceedsCaptured.At("amount", charge.Refundable.Minor, charge.Amount.Currency).About("charge", charge.Id.Value);
        return asked;
    }

    /// <summary>The refund as the provider's outcome makes it; null when that changes nothing.</summary>
    public Refund? After(ProviderOutcome outcome, DateTimeOffset now) => outcome switch
    {
        ProviderOutcome.KnownRefund { Refund: { Status: ProviderRefundStatus.Succeeded } known } => Changed(RefundStatus.Succeeded, now) with { ProviderReference = known.Reference, Failure = null },
        ProviderOutcome.KnownRefund { Refund: { Status: ProviderRefundStatus.Failed } known } => Failed(Errors.ProviderRefused, known.FailureCode, now) with { ProviderReference = known.Reference },
        ProviderOutcome.KnownRefund { Refund: { Status: ProviderRefundStatus.Pending } known } when Status is not RefundStatus.Pending || ProviderReference is null =>
            Changed(RefundStatus.Pending, now) with { ProviderReference = known.Reference },
        ProviderOutcome.Refused refused => Failed(Errors.Decline(refused.Code), refused.DeclineCode, now),
        ProviderOutcome.Unknown when Status is RefundStatus.Pending && ProviderReference is null => Changed(RefundStatus.Unknown, now),
        _ => null,
    };

    /// <summary>The refund after it turned out that the provider never received it.</summary>
    public Refund NeverReceived(DateTimeOffset now) => Failed(Errors.NotProcessed, null, now);

    private Refund Failed(Error error, string? providerCode, DateTimeOffset now) =>
        Changed(RefundStatus.Failed, now) with { Failure = new RefundFailure(error.Code, providerCode, error.Text.English) };

    /// <summary>The allow-list: an open refund becomes anything; a succeeded one stays; a failed one only succeeds, if it landed after all.</summary>
    private Refund Changed(RefundStatus next, DateTimeOffset now) =>
        !IsResolved || (Status is RefundStatus.Failed && next is RefundStatus.Succeeded)
            ? this with { Status = next, Version = Version + 1, UpdatedAt = now }
            : throw new InvalidOperationException($"{Id} is {Status} and cannot become {next}.");

    private static string Snake(ChargeStatus status) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString());
}

/// <summary>The refund as the API shows it.</summary>
public sealed record RefundView(
    string Id, string Object, Mode Mode, string Charge, long Amount, Currency Currency, RefundStatus Status, string? Reason, string? Reference,
    RefundProvider Provider, RefundFailure? Failure, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static RefundView Of(Refund refund) => new(
        refund.Id.Value, "refund", refund.Mode, refund.Charge.Value, refund.Amount.Minor, refund.Amount.Currency, refund.Status, refund.Reason, refund.Reference,
        new RefundProvider(refund.Provider, refund.ProviderReference), refund.Failure, refund.Version, refund.RequestId, refund.CreatedAt, refund.UpdatedAt);
}

public sealed record RefundProvider(string Name, string? Reference);
