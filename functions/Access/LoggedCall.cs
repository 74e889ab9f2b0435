using Harbour.Foundation;

namespace Harbour.Access;

/// <summary>Who called.</summary>
/// <param name="Credential">The credential's id; never the key or token itself.</param>
/// <param name="Address">Empty when it is not known.</param>
public sealed record LoggedCaller(string Credential, CredentialKind Kind, string Address);

/// <summary>
/// One authenticated call, as it is remembered: who asked for what, how it was answered, and which provider calls that took. There
/// is no body, no header and no query in it, so there is nothing that would have to be kept secret.
/// </summary>
/// <param name="Route">The template of the route that took the call: <c>v1/charges/{id}</c>.</param>
/// <param name="IdempotencyKey">True when one was sent.</param>
/// <param name="Code">The code of the refusal, if it was one.</param>
/// <param name="Replayed">True when the answer was kept from an earlier call with the same key, so that this one changed nothing.</param>
/// <param name="DurationMs">Milliseconds from the Gate to the function's answer.</param>
public sealed record LoggedCall(
    LoggedCaller Caller, string Method, string Path, string Route, bool IdempotencyKey, int Status, string? Code, bool Replayed,
    DateTimeOffset ReceivedAt, DateTimeOffset AnsweredAt, double DurationMs, IReadOnlyList<ProviderCall> ProviderCalls)
{
    private const int MaxPath = 500;

    internal static LoggedCall Of(Call call, int status, Answer? answer, DateTimeOffset receivedAt, TimeSpan took, RequestTrace trace) => new(
        new LoggedCaller(call.Credential.Id.Value, call.Credential.Kind, call.ClientAddress),
        call.Method, PathOf(call), call.Route.Template, call.IdempotencyKey is not null, status, answer?.Code, answer?.Replayed ?? false,
        receivedAt, receivedAt + took, took.TotalMilliseconds, trace.ProviderCalls);

    /// <summary>A path is the caller's text: it may be long, and hold what has no place in it.</summary>
    private static string PathOf(Call call) => CardData.Mask(call.Path.Length <= MaxPath ? call.Path : call.Path[..MaxPath]);
}
