using System.Text.Json.Serialization;
using Harbour.Customers;
using Harbour.Foundation;

namespace Harbour.Subscriptions;

public enum SubscriptionStatus { Trialing, Active, PastDue, Unpaid, Paused, Canceled }

/// <summary>
/// A subscription charges a mandate once for each period. Its rules: periods follow each other without a gap, counted from the anchor;
/// the invoice of a period is opened when it begins and the next period begins only after that is paid. While an invoice is retried the
/// subscription is past_due, once it is given up unpaid. Paused and unpaid ones are not charged and may be resumed: within a period that
/// is paid for they go on as they were, later a new period begins at that moment. Canceled is final. Every change that a caller can see
/// counts the version up by one.
/// </summary>
public sealed record Subscription : IHasId
{
    public static string Prefix => "sub_";

    public required Id<Subscription> Id { get; init; }
    public required Mode Mode { get; init; }
    public required SubscriptionStatus Status { get; init; }
    public required Id<Customer> Customer { get; init; }
    public required Id<Mandate> Mandate { get; init; }
    public required Money Amount { get; init; }
    public required Interval Interval { get; init; }

    /// <summary>When the first period that is charged begins; all others are counted from it.</summary>
    public required DateTimeOffset Anchor { get; init; }

    /// <summary>How many periods have begun since the anchor.</summary>
    public int Periods { get; init; }

    /// <summary>The current period: the time before the anchor while there is a trial or a later start.</summary>
    public required DateTimeOffset PeriodStart { get; init; }
    public required DateTimeOffset PeriodEnd { get; init; }

    public DateTimeOffset? TrialEnd { get; init; }
    public Id<Invoice>? LatestInvoice { get; init; }
    public bool CancelAtPeriodEnd { get; init; }
    public DateTimeOffset? CanceledAt { get; init; }
    public string? Reference { get; init; }
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }
    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>The allow-list of changes of status; what is not here is not possible.</summary>
    private static readonly Dictionary<SubscriptionStatus, SubscriptionStatus[]> Transitions = new()
    {
        [SubscriptionStatus.Trialing] = [SubscriptionStatus.Active, SubscriptionStatus.Paused, SubscriptionStatus.Canceled],
        [SubscriptionStatus.Active] = [SubscriptionStatus.PastDue, SubscriptionStatus.Unpaid, SubscriptionStatus.Paused, SubscriptionStatus.Canceled],
        [SubscriptionStatus.PastDue] = [SubscriptionStatus.Active, SubscriptionStatus.Unpaid, SubscriptionStatus.Paused, SubscriptionStatus.Canceled],
        [SubscriptionStatus.Unpaid] = [SubscriptionStatus.Active, SubscriptionStatus.Canceled],
        [SubscriptionStatus.Paused] = [SubscriptionStatus.Trialing, SubscriptionStatus.Active, SubscriptionStatus.PastDue, SubscriptionStatus.Unpaid, SubscriptionStatus.Canceled],
        [SubscriptionStatus.Canceled] = [],
    };

    public bool CanBecome(SubscriptionStatus next) => Transitions[Status].Contains(next);

    /// <summary>A new subscription, before its first period.</summary>
    /// <param name="id">Made at the moment from which it counts when no later start is asked for.</param>
    public static Subscription Create(Id<Subscription> id, Mode mode, SubscriptionRequest request, string requestId, DateTimeOffset now)
    {
        var start = request.StartAt ?? id.MadeAt;
        var anchor = new Interval(IntervalUnit.Day, 1).After(start, request.TrialDays);
        return new Subscription
        {
            Id = id,
            Mode = mode,
            Status = anchor > now ? SubscriptionStatus.Trialing : SubscriptionStatus.Active,
            Customer = request.Customer,
            Mandate = request.Mandate,
            Amount = request.Amount,
            Interval = request.Interval,
            Anchor = anchor,
            PeriodStart = id.MadeAt,
            PeriodEnd = anchor,
            TrialEnd = request.TrialDays > 0 ? anchor : null,
            Reference = request.Reference,
            Metadata = request.Metadata,
            RequestId = requestId,
            CreatedAt = id.MadeAt,
            UpdatedAt = now,
        };
    }

    /// <summary>The subscription in its next period, whose invoice this is.</summary>
    public Subscription Begin(Id<Invoice> invoice, DateTimeOffset now) => Changed(SubscriptionStatus.Active, now) with
    {
        Periods = Periods + 1,
        PeriodStart = Interval.After(Anchor, Periods),
        PeriodEnd = Interval.After(Anchor, Periods + 1),
        LatestInvoice = invoice,
    };

    /// <summary>The subscription after its invoice changed. One that was paused or cancelled meanwhile stays so, unless nothing is left to retry.</summary>
    public Subscription After(Invoice invoice, DateTimeOffset now) => (invoice.Status, Status) switch
    {
        (InvoiceStatus.Paid, SubscriptionStatus.PastDue) => Changed(SubscriptionStatus.Active, now),
        (InvoiceStatus.Open, SubscriptionStatus.Active) when invoice.Attempts is [.., { Status: AttemptStatus.Failed }] => Changed(SubscriptionStatus.PastDue, now),
        (InvoiceStatus.Uncollectible, SubscriptionStatus.Active or SubscriptionStatus.PastDue or SubscriptionStatus.Paused) => Changed(SubscriptionStatus.Unpaid, now),
        _ => this,
    };

    public Result<Subscription> Pause(DateTimeOffset now) =>
        Status is SubscriptionStatus.Paused || !CanBecome(SubscriptionStatus.Paused) ? NotPossible("paused") : Changed(SubscriptionStatus.Paused, now);

    /// <summary>
    /// The subscription going on. Within its period it goes on as it was, with the invoice that may still be open; later a new period
    /// begins now, and what was not paid before is not asked for: nobody pays for time in which it rested.
    /// </summary>
    public Result<Subscription> Resume(Invoice? latest, DateTimeOffset now)
    {
        if (Status is not (SubscriptionStatus.Paused or SubscriptionStatus.Unpaid)) return NotPossible("resumed");
        if (Status is SubscriptionStatus.Paused && now < PeriodEnd)
            return Changed(latest is { Status: InvoiceStatus.Open, Attempts.IsEmpty: false } ? SubscriptionStatus.PastDue : Periods == 0 ? SubscriptionStatus.Trialing : SubscriptionStatus.Active, now);
        if (latest?.UnderWay is not null) return Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromMinutes(1) };
        return Changed(SubscriptionStatus.Active, now) with { Anchor = now, Periods = 0, PeriodStart = now, PeriodEnd = now, CancelAtPeriodEnd = false };
    }

    /// <summary>True where nothing is owed any more of what was open before.</summary>
    public bool Forgives(Subscription before) => Status is SubscriptionStatus.Canceled || Anchor != before.Anchor;

    /// <summary>The subscription ended now, or marked to end with its period.</summary>
    public Result<Subscription> Cancel(bool atPeriodEnd, DateTimeOffset now)
    {
        if (!CanBecome(SubscriptionStatus.Canceled)) return NotPossible("canceled");
        if (atPeriodEnd && CancelAtPeriodEnd) return this;
        return atPeriodEnd
            ? this with { CancelAtPeriodEnd = true, Version = Version + 1, UpdatedAt = now }
            : Changed(SubscriptionStatus.Canceled, now) with { CanceledAt = now };
    }

    /// <summary>The subscription with another mandate or other labels; what is null stays.</summary>
    public Result<Subscription> Update(Id<Mandate>? mandate, string? reference, IReadOnlyDictionary<string, string>? metadata, DateTimeOffset now)
    {
        if (Status is SubscriptionStatus.Canceled) return NotPossible("changed");
        if (mandate is null && reference is null && metadata is null) return this;
        return this with { Mandate = mandate ?? Mandate, Reference = reference ?? Reference, Metadata = metadata ?? Metadata, Version = Version + 1, UpdatedAt = now };
    }

    /// <summary>The event that tells of the change from one status to this one; null where none does.</summary>
    public string? EventAfter(SubscriptionStatus before) => (before, Status) switch
    {
        _ when before == Status => null,
        (_, SubscriptionStatus.PastDue) when before is not SubscriptionStatus.Paused => "subscription.past_due",
        (_, SubscriptionStatus.Unpaid) => "subscription.unpaid",
        (_, SubscriptionStatus.Paused) => "subscription.paused",
        (_, SubscriptionStatus.Canceled) => "subscription.canceled",
        (SubscriptionStatus.Paused or SubscriptionStatus.Unpaid, _) => "subscription.resumed",
        _ => null,
    };

    private Error NotPossible(string done) => Errors.InvalidTransition.With("subscription", Name(Status), done).About("subscription", Id.Value);

    private static string Name(SubscriptionStatus status) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString());

    private Subscription Changed(SubscriptionStatus next, DateTimeOffset now) =>
        next == Status || CanBecome(next) ? this with { Status = next, Version = Version + 1, UpdatedAt = now }
            : throw new InvalidOperationException($"{Id} is {Status} and cannot become {next}.");
}

/// <summary>The subscription as the API shows it.</summary>
public sealed record SubscriptionView(
    string Id, string Object, Mode Mode, SubscriptionStatus Status, string Customer, string Mandate, long Amount, Currency Currency, IntervalUnit Interval, int IntervalCount,
    DateTimeOffset StartAt, DateTimeOffset? TrialEnd, DateTimeOffset CurrentPeriodStart, DateTimeOffset CurrentPeriodEnd, string? LatestInvoice, bool CancelAtPeriodEnd,
    DateTimeOffset? CanceledAt, string? Reference, IReadOnlyDictionary<string, string> Metadata, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static SubscriptionView Of(Subscription s) => new(
        s.Id.Value, "subscription", s.Mode, s.Status, s.Customer.Value, s.Mandate.Value, s.Amount.Minor, s.Amount.Currency, s.Interval.Unit, s.Interval.Count,
        s.Anchor, s.TrialEnd, s.PeriodStart, s.PeriodEnd, s.LatestInvoice?.Value, s.CancelAtPeriodEnd, s.CanceledAt, s.Reference, s.Metadata, s.Version, s.RequestId,
        s.CreatedAt, s.UpdatedAt);
}
