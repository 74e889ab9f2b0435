using System.Text.Json;
using System.Text.Json.Serialization;
using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Customers;

public enum MandateStatus { Pending, Active, Revoked, Expired }

/// <param name="Card">What the provider said of the card; null until it did.</param>
public sealed record MandateMethod(string Type, ProviderCard? Card);

/// <param name="Code">One of the refusals of the catalogue.</param>
/// <param name="DeclineCode">The issuer's reason in the provider's words, if any.</param>
public sealed record MandateFailure(string Code, string? DeclineCode, string Message);

public sealed record MandateAction(string Type, string Url);

/// <summary>What is asked of the provider for a mandate that is made without a charge.</summary>
/// <param name="Customer">The provider's customer.</param>
/// <param name="Token">The provider's token of the payment method.</param>
/// <param name="Reference">The provider's own id of the setup; null until it is known.</param>
public sealed record MandateSetup(string Customer, string Token, string? ReturnUrl, string? Reference = null);

/// <summary>
/// A mandate is a customer's stored authorisation to be charged without being there. Its rules: only an active one can be charged, and
/// only the provider's word makes it active; it is made by the first payment, or on the customer without one, and then it is
/// <c>pending</c> while the provider has not answered or the payer has not confirmed; what the provider refuses, or nobody confirms
/// within a day, is <c>expired</c>; the merchant may revoke what is pending or active. Revoked and expired are final.
/// </summary>
public sealed record Mandate : IHasId
{
    /// <summary>A payer who does not confirm within this time does not mean to.</summary>
    public static readonly TimeSpan ConfirmWithin = TimeSpan.FromDays(1);

    public static string Prefix => "man_";

    public required Id<Mandate> Id { get; init; }
    public required Id<Customer> Customer { get; init; }
    public required Mode Mode { get; init; }
    public required MandateStatus Status { get; init; }
    public required MandateMethod Method { get; init; }

    /// <summary>The name of the provider that keeps the payment method.</summary>
    public required string Provider { get; init; }

    /// <summary>The stored payment method in the provider's words; null until it is stored. Never shown.</summary>
    public ProviderStored? Stored { get; init; }

    /// <summary>Null for a mandate that a charge made. Never shown.</summary>
    public MandateSetup? Setup { get; init; }

    /// <summary>The charge that made it, if one did.</summary>
    public string? CreatedBy { get; init; }

    public MandateAction? NextAction { get; init; }
    public MandateFailure? Failure { get; init; }
    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    [JsonIgnore]
    public bool IsActive => Status is MandateStatus.Active && Stored is not null;

    /// <summary>The event that tells of this status; nobody is told of a mandate that waits.</summary>
    [JsonIgnore]
    public string? Event => Status switch
    {
        MandateStatus.Active => "mandate.active",
        MandateStatus.Revoked => "mandate.revoked",
        MandateStatus.Expired => "mandate.expired",
        _ => null,
    };

    /// <summary>The allow-list of changes of status; what is not here is not possible.</summary>
    private static readonly Dictionary<MandateStatus, MandateStatus[]> Transitions = new()
    {
        [MandateStatus.Pending] = [MandateStatus.Pending, MandateStatus.Active, MandateStatus.Revoked, MandateStatus.Expired],
        [MandateStatus.Active] = [MandateStatus.Revoked],
        [MandateStatus.Revoked] = [],
        [MandateStatus.Expired] = [],
    };

    public bool CanBecome(MandateStatus next) => Transitions[Status].Contains(next);

    /// <summary>The mandate after the merchant revoked it.</summary>
    public Result<Mandate> Revoke(DateTimeOffset now) =>
        CanBecome(MandateStatus.Revoked) ? Changed(MandateStatus.Revoked, now) with { NextAction = null }
            : Errors.InvalidTransition.With("mandate", Name(Status), "revoked").About("mandate", Id.Value);

    /// <summary>The mandate as the provider's outcome makes it; null when that changes nothing.</summary>
    public Mandate? After(ProviderOutcome outcome, DateTimeOffset now) => (Status, outcome) switch
    {
        (not MandateStatus.Pending, _) => null,
        (_, ProviderOutcome.KnownSetup { Setup: { Status: ProviderSetupStatus.Succeeded, Stored: { } stored } setup }) =>
            Seen(setup).Changed(MandateStatus.Active, now) with { Stored = stored, NextAction = null },
        (_, ProviderOutcome.KnownSetup { Setup: { Status: ProviderSetupStatus.Failed } setup }) =>
            Seen(setup).Failed(setup.FailureCode ?? Errors.ProviderRefused.Code, setup.DeclineCode, now),
        (_, ProviderOutcome.Refused refused) => Failed(refused.Code, refused.DeclineCode, now),
        (_, _) when now - CreatedAt >= ConfirmWithin => Changed(MandateStatus.Expired, now) with { NextAction = null },
        (_, ProviderOutcome.KnownSetup { Setup: var setup }) when Setup is { Reference: null } => Seen(setup).Changed(MandateStatus.Pending, now),
        _ => null,
    };

    /// <summary>The refusal of a charge on this mandate; null when it can be charged.</summary>
    public Error? Refusal() => IsActive ? null : Errors.MandateNotActive.With(Name(Status)).About("mandate", Id.Value);

    private Mandate Seen(ProviderSetupState setup) => this with
    {
        Method = Method with { Card = setup.Card ?? Method.Card },
        Setup = Setup! with { Reference = setup.Reference },
        NextAction = setup.RedirectUrl is { } url ? new MandateAction("redirect", url) : null,
    };

    private Mandate Failed(string code, string? declineCode, DateTimeOffset now)
    {
        var error = Errors.Decline(code);
        return Changed(MandateStatus.Expired, now) with { Failure = new MandateFailure(error.Code, declineCode, error.Text.English), NextAction = null };
    }

    private Mandate Changed(MandateStatus next, DateTimeOffset now) =>
        CanBecome(next) ? this with { Status = next, Version = Version + 1, UpdatedAt = now }
            : throw new InvalidOperationException($"{Id} is {Status} and cannot become {next}.");

    private static string Name(MandateStatus status) => JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString());
}

/// <summary>The mandate as the API shows it: without what the provider calls things.</summary>
public sealed record MandateView(
    string Id, string Object, Mode Mode, string Customer, MandateStatus Status, Dictionary<string, object?> PaymentMethod, MandateProvider Provider, string? CreatedBy,
    MandateAction? NextAction, MandateFailure? Failure, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static MandateView Of(Mandate mandate) => new(
        mandate.Id.Value, "mandate", mandate.Mode, mandate.Customer.Value, mandate.Status,
        new() { ["type"] = mandate.Method.Type, [mandate.Method.Type] = mandate.Method.Card }, new MandateProvider(mandate.Provider), mandate.CreatedBy,
        mandate.NextAction, mandate.Failure, mandate.Version, mandate.RequestId, mandate.CreatedAt, mandate.UpdatedAt);
}

public sealed record MandateProvider(string Name);
