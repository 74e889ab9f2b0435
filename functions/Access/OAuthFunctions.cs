using System.Collections.Immutable;
using System.Net;
using System.Text;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Net.Http.Headers;

namespace Harbour.Access;

/// <summary>
/// OAuth 2.0 for machines: client credentials (RFC 6749, section 4.4), the public keys (RFC 7517) and the metadata (RFC 8414).
/// Refusals have the shape of RFC 6749, section 5.2, because OAuth libraries read that.
/// </summary>
public sealed class OAuthFunctions(CredentialCache credentials, AccessTokens tokens, SigningKeys keys, SecretReader secrets, RateLimiter limits, TimeProvider time)
{
    /// <summary>Failed tries per second and at once that one client address has before it must wait.</summary>
    private const int FailuresPerSecond = 5, FailureBurst = 100;

    private const string TokenRoute = "oauth/token", KeysRoute = ".well-known/jwks.json";

    /// <summary>A refusal of RFC 6749: its code and what to tell the developer.</summary>
    private sealed record Refusal(string Code, string Description, int Status = 400);

    private sealed record Login(string ClientId, string Secret);

    [Function("Token"), Public(MaxBody = 16 * 1024)]
    public async Task<IResult> Token([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = TokenRoute)] HttpRequest request)
    {
        var call = Call.Of(request);
        var failures = "token|" + call.ClientAddress;
        if (limits.Look(failures, FailuresPerSecond, FailureBurst) is { Remaining: 0 } spent) return TooMany(spent);

        var (client, scopes, refusal) = await GrantAsync(request, call);
        if (refusal is not null || client is null)
        {
            limits.Take(failures, FailuresPerSecond, FailureBurst);
            return Refused(refusal!);
        }

        var token = await tokens.IssueAsync(client, scopes, call.Aborted);
        return Answer.Ok(new { AccessToken = token.Reveal(), TokenType = "Bearer", ExpiresIn = (long)AccessTokens.Lifetime.TotalSeconds, Scope = Scopes.Join(scopes) });
    }

    [Function("TokenKeys"), Public]
    public async Task<IResult> Keys([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = KeysRoute)] HttpRequest request) =>
        Answer.Ok(new { Keys = (await keys.ReadAsync(request.HttpContext.RequestAborted)).Select(SigningKeys.Published) });

    [Function("TokenMetadata"), Public]
    public IResult Metadata([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = ".well-known/oauth-authorization-server")] HttpRequest request) =>
        Answer.Ok(new
        {
            tokens.Issuer,
            TokenEndpoint = $"{tokens.Issuer}/{TokenRoute}",
            JwksUri = $"{tokens.Issuer}/{KeysRoute}",
            ScopesSupported = Scopes.All,
            ResponseTypesSupported = Array.Empty<string>(),
            GrantTypesSupported = (string[])["client_credentials"],
            TokenEndpointAuthMethodsSupported = (string[])["client_secret_basic", "client_secret_post"],
        });

    private async Task<(string? Client, ImmutableArray<string> Scopes, Refusal? Refusal)> GrantAsync(HttpRequest request, Call call)
    {
        if (ReadForm(request.ContentType, call.Body) is not { } form)
            return (null, [], new("invalid_request", "send each parameter once, as application/x-www-form-urlencoded"));
        if (!form.TryGetValue("grant_type", out var grant)) return (null, [], new("invalid_request", "grant_type is required"));
        if (grant != "client_credentials") return (null, [], new("unsupported_grant_type", "grant_type must be client_credentials"));

        var (login, refusal) = ReadLogin(request.Headers.Authorization.ToString(), form);
        if (login is null) return (null, [], refusal);
        if (await FindClientAsync(login, call.Aborted) is not { } client) return (null, [], new("invalid_client", "the client is unknown or its secret is wrong", 401));

        // The networks of the client are checked where the token is used, at every call.
        var asked = Scopes.Split(form.GetValueOrDefault("scope", ""));
        if (asked.Any(scope => !client.Scopes.Contains(scope))) return (null, [], new("invalid_scope", "the client may not ask for one of these scopes"));
        return (login.ClientId, asked.IsEmpty ? client.Scopes : asked, null);
    }

    private async Task<Credential?> FindClientAsync(Login login, CancellationToken cancellation)
    {
        // The proof is computed for unknown clients too, so that the time of the answer does not tell which exist.
        var proof = ApiKey.ProofOf(login.Secret, await secrets.ReadAsync(ApiKey.PepperSecret, cancellation));
        if (!Handles.IsClientId(login.ClientId)) return null;
        var caller = await credentials.FindAsync(Handles.OfClient(login.ClientId), cancellation);
        if (caller is null || !caller.Credential.ProvenBy(proof)) return null;
        return caller.Credential.IsValidAt(time.GetUtcNow()) ? caller.Credential : null;
    }

    /// <summary>The parameters, each of which may come once (RFC 6749, section 3.2) and counts as absent when it is empty; null when the body is no form.</summary>
    private static Dictionary<string, string>? ReadForm(string? contentType, ReadOnlyMemory<byte> body)
    {
        if (!MediaTypeHeaderValue.TryParse(contentType, out var type)) return null;
        if (!type.MediaType.Equals("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            using var reader = new FormReader(Encoding.UTF8.GetString(body.Span));
            var form = reader.ReadForm();
            if (form.Values.Any(v => v.Count > 1)) return null;
            return form.Where(f => f.Value.ToString().Length > 0).ToDictionary(f => f.Key, f => f.Value.ToString(), StringComparer.Ordinal);
        }
        catch (InvalidDataException)
        {
            // More fields, or longer ones, than any form of ours has.
            return null;
        }
    }

    private static (Login? Login, Refusal? Refusal) ReadLogin(string authorization, Dictionary<string, string> form)
    {
        var id = form.GetValueOrDefault("client_id");
        var secret = form.GetValueOrDefault("client_secret");
        if (authorization.Length == 0)
        {
            if (id is not null && secret is not null) return (new(id, secret), null);
            return (null, new("invalid_client", "send the client's id and secret, by Basic authentication or in the body", 401));
        }

        if (secret is not null) return (null, new("invalid_request", "authenticate by header or in the body, not both"));
        if (ReadBasic(authorization) is not { } login) return (null, new("invalid_client", "the Authorization header is not valid Basic authentication", 401));
        return id is null || id == login.ClientId ? (login, null) : (null, new("invalid_request", "client_id is not the client that authenticates"));
    }

    /// <summary>Both halves are form-encoded before they are joined (RFC 6749, section 2.3.1).</summary>
    private static Login? ReadBasic(string authorization)
    {
        if (!authorization.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase)) return null;
        var bytes = new byte[authorization.Length];
        if (!Convert.TryFromBase64String(authorization[6..].Trim(), bytes, out var length)) return null;
        var pair = Encoding.UTF8.GetString(bytes, 0, length);
        var colon = pair.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? null : new Login(WebUtility.UrlDecode(pair[..colon]), WebUtility.UrlDecode(pair[(colon + 1)..]));
    }

    private static Answer Refused(Refusal refusal)
    {
        var answer = Answer.Of(refusal.Status, new { Error = refusal.Code, ErrorDescription = refusal.Description });
        if (refusal.Status == 401) answer.Headers["WWW-Authenticate"] = "Basic realm=\"harbour\", charset=\"UTF-8\"";
        return answer;
    }

    private static Answer TooMany(Rate rate)
    {
        var answer = Refused(new("temporarily_unavailable", "too many failed tries from this address", 429));
        answer.Headers["Retry-After"] = Gate.WholeSeconds(rate.RetryAfter);
        return answer;
    }
}
