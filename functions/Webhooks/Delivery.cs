using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;

namespace Harbour.Webhooks;

public enum DeliveryStatus { Pending, Delivered, Failed }

/// <summary>What a message about a delivery is to do.</summary>
public enum DeliveryStep
{
    /// <summary>Its turn is over: another message has done, or will do, what it was for.</summary>
    Nothing,

    /// <summary>Make the attempt.</summary>
    Attempt,

    /// <summary>It came before its time.</summary>
    Wait,

    /// <summary>Its attempt is written down, but perhaps not yet followed by the message for the next.</summary>
    Follow,
}

/// <summary>One try to deliver, as it is listed.</summary>
/// <param name="Number">From 1, over all rounds.</param>
/// <param name="StatusCode">Null when no answer came.</param>
/// <param name="Error">Null when it was delivered: <c>status_500</c>, <c>timeout</c>, <c>connection_refused</c> and so on.</param>
/// <param name="ResponseBody">The first KiB of the answer; kept of the latest attempts only.</param>
public sealed record DeliveryAttempt(int Number, DateTimeOffset At, int? StatusCode, string? Error, long DurationMs, string? ResponseBody);

/// <summary>
/// One event on its way to one endpoint. Its rules: 2xx within the deadline is delivered; 410 is failed at once; any other outcome is
/// tried again after 1 minute, 5 and 30 minutes, 2, 6, 12 and 24 hours, and the eighth failure is the last. Waits are up to a tenth
/// longer, never shorter, so that what failed together does not come back together. Sending again on demand begins a new round of eight.
/// </summary>
/// <remarks>
/// Messages may come twice, late or never in order. So each names the turn that it is for: the turn moves on with each attempt that is
/// written down and with each round, and a message whose turn has passed makes no attempt.
/// </remarks>
public sealed record Delivery : IHasId
{
    public static string Prefix => "dlv_";

    public const int MaxFailures = 8;

    /// <summary>How many attempts one delivery may have in all its rounds.</summary>
    public const int MaxAttempts = 1000;

    /// <summary>How many attempts, the latest, keep what was answered; so a row stays far below what storage holds.</summary>
    private const int KeptBodies = 16;

    /// <summary>Why a delivery is failed, in the words of the API.</summary>
    public const string Exhausted = "attempts_exhausted", EndpointGone = WebhookEndpoint.Gone, EndpointDisabled = "endpoint_disabled", EndpointDeleted = "endpoint_deleted";

    /// <summary>From each failure to the next attempt. The eighth wait of the published schedule (another day) would follow the failure that ends it.</summary>
    private static readonly TimeSpan[] Waits =
    [
        TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2), TimeSpan.FromHours(6), TimeSpan.FromHours(12), TimeSpan.FromHours(24),
    ];

    public required Id<Delivery> Id { get; init; }
    public required Mode Mode { get; init; }
    public required Id<Event> Event { get; init; }
    public required Id<WebhookEndpoint> Endpoint { get; init; }
    public DeliveryStatus Status { get; init; }
    public string? Failure { get; init; }
    public ImmutableArray<DeliveryAttempt> Attempts { get; init; } = [];

    /// <summary>Failed attempts of this round.</summary>
    public int Failures { get; init; }

    /// <summary>Which message is meant to act on it now.</summary>
    public int Turn { get; init; } = 1;

    /// <summary>Null unless it is pending.</summary>
    public DateTimeOffset? NextAttemptAt { get; init; }

    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    public static Delivery Begin(Event @event, WebhookEndpoint endpoint, DateTimeOffset now) => new()
    {
        Id = IdOf(@event.Id, endpoint.Id),
        Mode = endpoint.Mode,
        Event = @event.Id,
        Endpoint = endpoint.Id,
        NextAttemptAt = now,
        RequestId = @event.RequestId,
        CreatedAt = now,
        UpdatedAt = now,
    };

    /// <summary>Made of the event and the endpoint alone, so that who fans out a second time makes no second delivery.</summary>
    public static Id<Delivery> IdOf(Id<Event> @event, Id<WebhookEndpoint> endpoint)
    {
        var hash = BinaryPrimitives.ReadUInt128BigEndian(SHA256.HashData(Encoding.ASCII.GetBytes($"{@event}|{endpoint}")));
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, ((UInt128)@event.MadeAt.ToUnixTimeMilliseconds() << 80) | (hash >> 48));
        return Id<Delivery>.FromKey(Sortable.Encode(bytes));
    }

    /// <summary>What a message for a turn is to do now.</summary>
    public DeliveryStep StepOf(int turn, DateTimeOffset now)
    {
        if (Status is not DeliveryStatus.Pending) return DeliveryStep.Nothing;
        if (turn == Turn - 1) return DeliveryStep.Follow;
        if (turn != Turn) return DeliveryStep.Nothing;
        return now < NextAttemptAt ? DeliveryStep.Wait : DeliveryStep.Attempt;
    }

    /// <summary>The delivery after the attempt of its turn.</summary>
    public Delivery After(DeliveryAttempt attempt, DateTimeOffset now)
    {
        var next = Noting(attempt, now) with { Turn = Turn + 1, NextAttemptAt = null };
        if (attempt.Error is null) return next with { Status = DeliveryStatus.Delivered };
        var failures = Failures + 1;
        next = next with { Failures = failures };
        if (attempt.StatusCode == 410) return next with { Status = DeliveryStatus.Failed, Failure = EndpointGone };
        if (failures >= MaxFailures) return next with { Status = DeliveryStatus.Failed, Failure = Exhausted };
        return next with { NextAttemptAt = now + Wait(failures) };
    }

    /// <summary>The delivery with an attempt that was made although its turn had passed meanwhile: it happened, so it is listed, and decides nothing.</summary>
    public Delivery Noting(DeliveryAttempt attempt, DateTimeOffset now)
    {
        var attempts = Attempts.Add(attempt with { Number = Attempts.Length + 1 });
        if (attempts.Length > KeptBodies) attempts = attempts.SetItem(attempts.Length - 1 - KeptBodies, attempts[^(KeptBodies + 1)] with { ResponseBody = null });
        return this with { Attempts = attempts, Version = Version + 1, UpdatedAt = now };
    }

    /// <summary>The delivery whose endpoint is not there to be sent to.</summary>
    public Delivery GiveUp(string failure, DateTimeOffset now) =>
        this with { Status = DeliveryStatus.Failed, Failure = failure, NextAttemptAt = null, Turn = Turn + 1, Version = Version + 1, UpdatedAt = now };

    /// <summary>A new round, whatever became of the one before.</summary>
    public Delivery Again(DateTimeOffset now) =>
        this with { Status = DeliveryStatus.Pending, Failure = null, Failures = 0, NextAttemptAt = now, Turn = Turn + 1, Version = Version + 1, UpdatedAt = now };

    /// <summary>How long after a failure the next attempt comes. The extra is drawn from the delivery itself, so that it is the same whoever asks.</summary>
    internal TimeSpan Wait(int failures)
    {
        var draw = BinaryPrimitives.ReadUInt16BigEndian(SHA256.HashData(Encoding.ASCII.GetBytes($"{Id}|{Turn}")));
        return Waits[failures - 1] + Waits[failures - 1] * (0.1 * draw / ushort.MaxValue);
    }
}

/// <summary>The delivery as the API shows it.</summary>
public sealed record DeliveryView(
    string Id, string Object, Mode Mode, string Event, string Endpoint, DeliveryStatus Status, string? Failure, ImmutableArray<DeliveryAttempt> Attempts,
    DateTimeOffset? NextAttemptAt, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static DeliveryView Of(Delivery delivery) => new(
        delivery.Id.Value, "delivery", delivery.Mode, delivery.Event.Value, delivery.Endpoint.Value, delivery.Status, delivery.Failure, delivery.Attempts,
        delivery.NextAttemptAt, delivery.Version, delivery.RequestId, delivery.CreatedAt, delivery.UpdatedAt);
}
