using System.Collections.Immutable;
using System.Security.Cryptography;
using Harbour.Foundation;
using Microsoft.IdentityModel.Tokens;

namespace Harbour.Access;

/// <summary>
/// The keys of access tokens, from the secret <c>oauth-signing-key</c>: one or more private keys on P-256 in PEM, one after another.
/// The first signs, all of them verify and are published. To rotate without refusing anyone: put the new key second, once every
/// worker has read it (five minutes) put it first, and take the old one away when its last token has expired (an hour later).
/// </summary>
public sealed class SigningKeys(SecretReader secrets)
{
    private const string SecretName = "oauth-signing-key", P256 = "1.2.840.10045.3.1.7";

    private sealed record Loaded(string Pem, ImmutableArray<ECDsaSecurityKey> Keys);

    // Replaced as a whole when the secret changes. The old keys are left to the collector, for a request may be using them.
    private volatile Loaded? loaded;

    /// <summary>All keys, the signing one first. Each carries its RFC 7638 thumbprint as its id.</summary>
    /// <exception cref="InvalidOperationException">The secret holds no private key on P-256.</exception>
    public async ValueTask<ImmutableArray<ECDsaSecurityKey>> ReadAsync(CancellationToken cancellation = default)
    {
        var pem = (await secrets.ReadAsync(SecretName, cancellation)).Reveal();
        var now = loaded;
        if (now?.Pem != pem) loaded = now = new Loaded(pem, Parse(pem));
        return now.Keys;
    }

    /// <summary>The public half as a JSON Web Key (RFC 7517, RFC 7518 section 6.2).</summary>
    public static object Published(ECDsaSecurityKey key)
    {
        var point = key.ECDsa.ExportParameters(includePrivateParameters: false).Q;
        var (x, y) = (Base64UrlEncoder.Encode(point.X!), Base64UrlEncoder.Encode(point.Y!));
        return new { Kty = "EC", Crv = "P-256", X = x, Y = y, Kid = key.KeyId, Use = "sig", Alg = "ES256" };
    }

    private static ImmutableArray<ECDsaSecurityKey> Parse(string text)
    {
        var keys = ImmutableArray.CreateBuilder<ECDsaSecurityKey>();
        var rest = text.AsSpan();
        while (PemEncoding.TryFind(rest, out var fields))
        {
            if (rest[fields.Label].EndsWith("PRIVATE KEY")) keys.Add(Import(rest[fields.Location]));
            rest = rest[fields.Location.End..];
        }

        return keys.Count > 0 ? keys.ToImmutable() : throw new InvalidOperationException($"The secret {SecretName} holds no private key in PEM.");
    }

    private static ECDsaSecurityKey Import(ReadOnlySpan<char> pem)
    {
        var ecdsa = ECDsa.Create();
        ecdsa.ImportFromPem(pem);
        if (ecdsa.ExportParameters(includePrivateParameters: false).Curve.Oid.Value != P256)
            throw new InvalidOperationException($"A key of the secret {SecretName} is not on P-256.");
        var key = new ECDsaSecurityKey(ecdsa);
        key.KeyId = Base64UrlEncoder.Encode(key.ComputeJwkThumbprint());
        return key;
    }
}
