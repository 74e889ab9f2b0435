using System.Collections.Immutable;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Harbour.Access;

/// <summary>What a valid access token says: which client, and which scopes it asked for.</summary>
public sealed record TokenClaims(string ClientId, ImmutableArray<string> Scopes);

/// <summary>
/// Access tokens as JSON Web Tokens of the profile in RFC 9068: ES256, type <c>at+jwt</c>, with us as issuer and audience, valid for an
/// hour. A token alone opens nothing: its client is looked up at every call, so that a revocation does not wait for the token to expire.
/// All times are those of the injected clock, in validation too.
/// </summary>
public sealed class AccessTokens(SigningKeys keys, IConfiguration configuration, TimeProvider time, Ids ids)
{
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    private const string Type = "at+jwt", ClientId = "client_id", Scope = "scope";

    /// <summary>Accounts for workers whose clocks differ: how far in the future a token may have been issued.</summary>
    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(60);

    private readonly JsonWebTokenHandler handler = new() { SetDefaultTimesOnTokenCreation = false };

    /// <summary>Our own address without a slash at the end, as it stands in tokens and metadata.</summary>
    /// <exception cref="InvalidOperationException">It is not configured.</exception>
    public string Issuer =>
        configuration["Public:BaseUrl"] is { Length: > 0 } url ? url.TrimEnd('/') : throw new InvalidOperationException("Set Public:BaseUrl.");

    public async Task<Secret> IssueAsync(string clientId, ImmutableArray<string> scopes, CancellationToken cancellation = default)
    {
        var now = time.GetUtcNow().UtcDateTime;
        var signing = (await keys.ReadAsync(cancellation))[0];
        return new Secret(handler.CreateToken(new SecurityTokenDescriptor
        {
            TokenType = Type,
            Issuer = Issuer,
            Audience = Issuer,
            IssuedAt = now,
            Expires = now + Lifetime,
            Claims = new Dictionary<string, object>
            {
                [JwtRegisteredClaimNames.Sub] = clientId,
                [ClientId] = clientId,
                [Scope] = Scopes.Join(scopes),
                [JwtRegisteredClaimNames.Jti] = ids.NewKey(),
            },
            SigningCredentials = new SigningCredentials(signing, SecurityAlgorithms.EcdsaSha256),
        }));
    }

    /// <returns>The claims; <c>expired_token</c> for one of ours whose time is over; <c>invalid_credential</c> for anything else.</returns>
    public async Task<Result<TokenClaims>> ReadAsync(string token, CancellationToken cancellation = default)
    {
        var accepted = await keys.ReadAsync(cancellation);
        var result = await handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = Issuer,
            ValidAudience = Issuer,
            ValidTypes = [Type],
            ValidAlgorithms = [SecurityAlgorithms.EcdsaSha256],
            // The key is chosen by its id among ours; a key or address that the token brings along is never looked at.
            IssuerSigningKeyResolver = (_, _, kid, _) => accepted.Where(key => key.KeyId == kid),
            RequireExpirationTime = true,
            LifetimeValidator = (_, expires, jwt, _) => IsCurrent(expires, (JsonWebToken)jwt),
        });

        if (result.Exception is SecurityTokenExpiredException) return Errors.ExpiredToken;
        if (!result.IsValid || result.SecurityToken is not JsonWebToken valid) return Errors.InvalidCredential;
        if (!valid.TryGetPayloadValue<string>(ClientId, out var client) || !Handles.IsClientId(client) || valid.Subject != client) return Errors.InvalidCredential;
        if (!valid.TryGetPayloadValue<string>(Scope, out var scope)) return Errors.InvalidCredential;
        return new TokenClaims(client, Scopes.Split(scope));
    }

    private bool IsCurrent(DateTime? expires, JsonWebToken token)
    {
        var now = time.GetUtcNow().UtcDateTime;
        if (expires is null || token.IssuedAt > now + ClockSkew) return false;
        return now < expires ? true : throw new SecurityTokenExpiredException();
    }
}
