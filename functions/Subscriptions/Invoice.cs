using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Harbour.Charges;
using Harbour.Foundation;

namespace Harbour.Subscriptions;

public enum InvoiceStatus { Open, Paid, Uncollectible, Void }

public enum AttemptStatus { Processing, Succeeded, Failed }

/// <summary>One try to take an invoice's amount.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Charge">The charge that it made; null where nothing could be charged at all.</param>
/// <param name="FailureCode">One of the refusals of the catalogue, or the issuer's own reason where there is one.</param>
/// <param name="At">When it was made; the waits for the next one count from here.</param>
public sealed record Attempt(int Number, Id<Charge>? Charge, AttemptStatus Status, string? FailureCode, DateTimeOffset At);

/// <summary>
/// What a subscription owes for one period. Its rules: it is open until it is paid, given up or void. A failed attempt is followed by
/// one 1 hour later, then one 24 hours after that, then one 72 hours after that; with the fourth failure, or with one that cannot heal,
/// it is uncollectible. At most one attempt is under way, each has a charge of its own, and so a provider's idempotency key of its own.
/// </summary>
public sealed record Invoice : IHasId
{
    public static string Prefix => "inv_";

    /// <summary>How long after each failed attempt the next one is made.</summary>
    public static readonly IReadOnlyList<TimeSpan> RetryAfter = [TimeSpan.FromHours(1), TimeSpan.FromHours(24), TimeSpan.FromHours(72)];

    /// <summary>How long after the provider could not even be asked the same attempt is made again.</summary>
    public static readonly TimeSpan AskAgainAfter = TimeSpan.FromMinutes(5);

    /// <summary>
    /// The refusals that trying the same authorisation again cannot heal, and that card networks fine those for who try: the hard
    /// declines of Stripe's documentation on recurring payments, and what our own catalogue adds.
    /// </summary>
    private static readonly HashSet<string> Final = new(StringComparer.Ordinal)
    {
        "stolen_card", "lost_card", "pickup_card", "fraudulent", "restricted_card", "incorrect_number", "transaction_not_allowed", "stop_payment_order",
        "revocation_of_authorization", "revocation_of_all_authorizations", "highest_risk_level",
        Errors.MandateNotActive.Code, Errors.CardAuthenticationRequired.Code, Errors.PaymentMethodInvalid.Code, Errors.RiskBlocked.Code,
    };

    public required Id<Invoice> Id { get; init; }
    public required Id<Subscription> Subscription { get; init; }
    public required Mode Mode { get; init; }
    public required InvoiceStatus Status { get; init; }
    public required DateTimeOffset PeriodStart { get; init; }
    public required DateTimeOffset PeriodEnd { get; init; }
    public required Money Amount { get; init; }
    public ImmutableArray<Attempt> Attempts { get; init; } = [];

    /// <summary>When the next attempt is due; null while one is under way, and when there will be none.</summary>
    public required DateTimeOffset? NextAttemptAt { get; init; }

    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>The attempt that is under way.</summary>
    [JsonIgnore]
    public Attempt? UnderWay => Attempts is [.., { Status: AttemptStatus.Processing } last] ? last : null;

    /// <summary>The event that tells how the invoice ended; null while it is open.</summary>
    [JsonIgnore]
    public string? Event => Status switch
    {
        InvoiceStatus.Paid => "invoice.paid",
        InvoiceStatus.Uncollectible => "invoice.uncollectible",
        _ => null,
    };

    /// <summary>The invoice with its next attempt under way.</summary>
    public Invoice Attempting(Id<Charge> charge, DateTimeOffset now)
    {
        if (Status is not InvoiceStatus.Open || UnderWay is not null) throw new InvalidOperationException($"{Id} is {Status} and cannot be attempted now.");
        return Changed(now) with { Attempts = Attempts.Add(new Attempt(Attempts.Length + 1, charge, AttemptStatus.Processing, null, now)), NextAttemptAt = null };
    }

    /// <summary>The invoice after its attempt provably never reached the provider: it does not count, and is made again soon.</summary>
    public Invoice NotAttempted(DateTimeOffset now) => Changed(now) with { Attempts = Attempts[..^1], NextAttemptAt = now + AskAgainAfter };

    public Invoice Succeeded(DateTimeOffset now) => Ended(AttemptStatus.Succeeded, null, now) with { Status = InvoiceStatus.Paid };

    /// <summary>The invoice after its attempt failed: open with the next attempt due, or uncollectible.</summary>
    /// <param name="code">The refusal of our catalogue.</param>
    /// <param name="declineCode">The issuer's reason, which says more where there is one.</param>
    public Invoice Failed(string code, string? declineCode, DateTimeOffset now)
    {
        var failed = Ended(AttemptStatus.Failed, declineCode ?? code, now);
        if (IsFinal(code, declineCode) || Attempts.Length > RetryAfter.Count) return failed with { Status = InvoiceStatus.Uncollectible };
        return failed with { NextAttemptAt = Attempts[^1].At + RetryAfter[Attempts.Length - 1] };
    }

    /// <summary>The invoice after it turned out that there is nothing to charge: an attempt without a charge, and the last.</summary>
    public Invoice NotChargeable(string code, DateTimeOffset now) => Changed(now) with
    {
        Attempts = Attempts.Add(new Attempt(Attempts.Length + 1, null, AttemptStatus.Failed, code, now)),
        NextAttemptAt = null,
        Status = InvoiceStatus.Uncollectible,
    };

    /// <summary>The invoice of a subscription that was cancelled before it was paid.</summary>
    public Invoice Voided(DateTimeOffset now) => Changed(now) with { Status = InvoiceStatus.Void, NextAttemptAt = null };

    /// <summary>True for a refusal that the same authorisation will meet again.</summary>
    public static bool IsFinal(string code, string? declineCode) => Final.Contains(code) || (declineCode is not null && Final.Contains(declineCode));

    private Invoice Ended(AttemptStatus status, string? code, DateTimeOffset now)
    {
        if (UnderWay is not { } attempt) throw new InvalidOperationException($"No attempt of {Id} is under way.");
        return Changed(now) with { Attempts = Attempts.SetItem(Attempts.Length - 1, attempt with { Status = status, FailureCode = code }) };
    }

    private Invoice Changed(DateTimeOffset now) => this with { Version = Version + 1, UpdatedAt = now };
}

/// <summary>The invoice as the API shows it.</summary>
public sealed record InvoiceView(
    string Id, string Object, Mode Mode, string Subscription, InvoiceStatus Status, DateTimeOffset PeriodStart, DateTimeOffset PeriodEnd, long Amount, Currency Currency,
    IEnumerable<Attempt> Attempts, DateTimeOffset? NextAttemptAt, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static InvoiceView Of(Invoice invoice) => new(
        invoice.Id.Value, "invoice", invoice.Mode, invoice.Subscription.Value, invoice.Status, invoice.PeriodStart, invoice.PeriodEnd, invoice.Amount.Minor,
        invoice.Amount.Currency, invoice.Attempts, invoice.NextAttemptAt, invoice.Version, invoice.RequestId, invoice.CreatedAt, invoice.UpdatedAt);
}
