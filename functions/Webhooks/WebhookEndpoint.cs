using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Harbour.Foundation;

namespace Harbour.Webhooks;

public enum EndpointStatus { Enabled, Disabled }

/// <param name="Sealed">The secret, readable only through <see cref="SecretBox"/>.</param>
/// <param name="Until">From this moment on it signs no more; null for the newest.</param>
public sealed record EndpointSecret(string Sealed, DateTimeOffset? Until = null);

/// <summary>
/// Where a merchant's events are sent. Its rules: it gets the events that happen from its making on, of the types that it asked for, while
/// it is enabled; it is disabled by the merchant, or by its own answer 410, and enabled again by the merchant alone. A rotated secret signs
/// beside the new one until its time is over, so that a receiver can change over without missing an event.
/// </summary>
public sealed record WebhookEndpoint : IHasId
{
    public static string Prefix => "whe_";

    /// <summary>How many endpoints a merchant may have in each mode.</summary>
    public const int MaxPerBook = 16;

    /// <summary>How many secrets may sign at once.</summary>
    public const int MaxSecrets = 5;

    /// <summary>Why an endpoint is off, in the words of the API.</summary>
    public const string ByMerchant = "disabled_by_merchant", Gone = "endpoint_gone";

    public required Id<WebhookEndpoint> Id { get; init; }
    public required Mode Mode { get; init; }
    public required string Url { get; init; }
    public required ImmutableArray<string> Events { get; init; }
    public string? Description { get; init; }
    public EndpointStatus Status { get; init; }
    public string? DisabledReason { get; init; }

    /// <summary>The newest first.</summary>
    public required ImmutableArray<EndpointSecret> Secrets { get; init; }

    public int Version { get; init; } = 1;
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    [JsonIgnore]
    public bool IsEnabled => Status is EndpointStatus.Enabled;

    /// <summary>Whether it asked for events of this type.</summary>
    public bool Wants(Event @event) => Events.Any(pattern => EventTypes.Matches(pattern, @event.Type));

    /// <summary>Whether an event is sent to it by itself: one from before the endpoint was made is not.</summary>
    public bool Receives(Event @event) => IsEnabled && Wants(@event) && CreatedAt <= @event.CreatedAt;

    public IEnumerable<EndpointSecret> SecretsAt(DateTimeOffset now) => Secrets.Where(secret => !(secret.Until <= now));

    /// <summary>The endpoint as the merchant changed it; what is null stays as it is.</summary>
    public WebhookEndpoint Change(EndpointRequest request, DateTimeOffset now)
    {
        var status = request.Status ?? Status;
        return this with
        {
            Url = request.Url ?? Url,
            Events = request.Events ?? Events,
            Description = request.Description is { } text ? (text.Length > 0 ? text : null) : Description,
            Status = status,
            DisabledReason = status is EndpointStatus.Enabled ? null : DisabledReason ?? ByMerchant,
            Version = Version + 1,
            UpdatedAt = now,
        };
    }

    public WebhookEndpoint Disable(string reason, DateTimeOffset now) =>
        this with { Status = EndpointStatus.Disabled, DisabledReason = reason, Version = Version + 1, UpdatedAt = now };

    /// <summary>Puts a new secret first. Those before it sign on until <paramref name="until"/>, or until their own end if that is sooner.</summary>
    public Result<WebhookEndpoint> Rotate(string @sealed, DateTimeOffset until, DateTimeOffset now)
    {
        var before = SecretsAt(now).Select(secret => secret with { Until = secret.Until < until ? secret.Until : until }).Where(secret => secret.Until > now).ToList();
        if (before.Count >= MaxSecrets) return Errors.LimitExceeded.With(MaxSecrets, "secrets of one endpoint at a time").About("webhook_endpoint", Id.Value);
        return this with { Secrets = [new EndpointSecret(@sealed), .. before], Version = Version + 1, UpdatedAt = now };
    }
}

/// <summary>What a caller asked for when making or changing an endpoint, after every field was looked at.</summary>
public sealed record EndpointRequest(string? Url, ImmutableArray<string>? Events, string? Description, EndpointStatus? Status)
{
    public static Result<EndpointRequest> Read(ReadOnlyMemory<byte> body, TargetGuard guard, Mode mode, bool making)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;
        var url = fields.Text("url", 2048, required: making);
        if (url is not null && guard.Refuse(mode, url) is { } reason) fields.Refuse(Errors.UrlNotAllowed.At("url", reason));
        var events = fields.Texts("events", 100, 81, required: making);
        if (events?.FirstOrDefault(pattern => !EventTypes.IsPattern(pattern)) is { } unknown) fields.Refuse(Errors.EventTypeUnknown.At("events", unknown));
        var description = fields.Text("description", 500);
        var status = making ? null : fields.OneOf("status", ["enabled", "disabled"]);
        if (fields.Finish() is { } refusal) return refusal;
        return new EndpointRequest(
            url, events is null ? null : [.. events.Distinct(StringComparer.Ordinal)], description,
            status switch { "enabled" => EndpointStatus.Enabled, "disabled" => EndpointStatus.Disabled, _ => null });
    }
}

/// <summary>The endpoint as the API shows it. The secret is shown once, to whoever had it made.</summary>
/// <param name="PreviousSecretUntil">While a secret is being rolled: when the last of the older ones ends.</param>
public sealed record WebhookEndpointView(
    string Id, string Object, Mode Mode, string Url, ImmutableArray<string> Events, string? Description, EndpointStatus Status, string? DisabledReason,
    DateTimeOffset? PreviousSecretUntil, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Secret,
    int Version, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static WebhookEndpointView Of(WebhookEndpoint endpoint, DateTimeOffset now, Secret? secret = null) => new(
        endpoint.Id.Value, "webhook_endpoint", endpoint.Mode, endpoint.Url, endpoint.Events, endpoint.Description, endpoint.Status, endpoint.DisabledReason,
        endpoint.SecretsAt(now).Max(s => s.Until), secret?.Reveal(), endpoint.Version, endpoint.CreatedAt, endpoint.UpdatedAt);
}
