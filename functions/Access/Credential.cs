using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;
using Harbour.Merchants;

namespace Harbour.Access;

public enum CredentialKind { Key, Client }

/// <summary>
/// What a merchant's software proves itself with: an API key, or an OAuth client that gets access tokens with its secret. It acts
/// for one merchant in one mode, within its scopes, from its networks, until it expires or is revoked. Of the key or secret itself
/// only a keyed hash is kept, so neither a copy of the table nor a log can be used to call.
/// </summary>
/// <param name="Handle">How it is found: see <see cref="Handles"/>.</param>
/// <param name="Proof">HMAC-SHA256 of the key or secret under the pepper, in lower-case hexadecimal.</param>
/// <param name="ExpiresAt">From this moment on it is refused; null for never.</param>
public sealed record Credential(
    Id<Credential> Id, Id<Merchant> Merchant, Mode Mode, CredentialKind Kind, string Handle, string Proof,
    ImmutableArray<string> Scopes, AllowList AllowedFrom, DateTimeOffset? ExpiresAt = null, DateTimeOffset? RevokedAt = null) : IHasId
{
    public static string Prefix => "key_";

    public bool IsValidAt(DateTimeOffset now) => RevokedAt is null && !(ExpiresAt <= now);

    /// <summary>Compares in a time that does not depend on where the texts differ.</summary>
    public bool ProvenBy(string proof) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Proof), Encoding.ASCII.GetBytes(proof));
}

/// <summary>
/// Under which name a credential is looked up: a key under its proof, which whoever holds the key can give; a client under its id.
/// </summary>
public static class Handles
{
    public static string OfKey(string proof) => "key|" + proof;
    public static string OfClient(string clientId) => "client|" + clientId;

    /// <summary>A client id is short and made of characters that need no escaping anywhere.</summary>
    public static bool IsClientId([NotNullWhen(true)] string? text) =>
        text is { Length: >= 1 and <= 64 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}

/// <summary>
/// The text of an API key: <c>sk_test_</c> or <c>sk_live_</c>, 160 random bits in 32 characters, and a CRC-32 of all before it in
/// 7. The checksum keeps no one out; it lets mistyped and invented keys be refused without a read.
/// </summary>
public static class ApiKey
{
    /// <summary>The secret without which stored proofs cannot be compared with anything. To change it means to make all keys anew.</summary>
    public const string PepperSecret = "api-key-pepper";

    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    private const int RandomBytes = 20, RandomLength = 32, ChecksumLength = 7, MaxLength = 128;

    public static Secret Make(Mode mode, Ids ids)
    {
        var text = new StringBuilder(Prefix(mode));
        var bits = 0;
        var held = 0;
        foreach (var b in ids.RandomBytes(RandomBytes))
        {
            held = (held << 8 | b) & 0xfff;
            for (bits += 8; bits >= 5; bits -= 5) text.Append(Alphabet[held >> (bits - 5) & 31]);
        }

        return new Secret(text.Append(Checksum(text.ToString())).ToString());
    }

    public static bool LooksLikeOne(string token) => token.StartsWith("sk_", StringComparison.Ordinal);

    /// <summary>True when it is worth looking the key up.</summary>
    /// <param name="token">What the caller sent.</param>
    /// <param name="uncheckedPrefix">
    /// Keys whose part after the mode starts so need no checksum; null for none. The sandbox sets it for its demo keys.
    /// </param>
    public static bool IsPlausible(string token, string? uncheckedPrefix)
    {
        if (token.Length > MaxLength) return false;
        var prefix = Prefix(token.StartsWith(Prefix(Mode.Live), StringComparison.Ordinal) ? Mode.Live : Mode.Test);
        if (!token.StartsWith(prefix, StringComparison.Ordinal)) return false;
        if (uncheckedPrefix is { Length: > 0 } && token.AsSpan(prefix.Length).StartsWith(uncheckedPrefix, StringComparison.Ordinal)) return true;
        return token.Length == prefix.Length + RandomLength + ChecksumLength
            && token.EndsWith(Checksum(token[..^ChecksumLength]), StringComparison.Ordinal);
    }

    /// <summary>What is stored of a key, or of a client's secret: its HMAC-SHA256 under the pepper.</summary>
    public static string ProofOf(string secret, Secret pepper) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(pepper.Reveal()), Encoding.UTF8.GetBytes(secret)));

    private static string Prefix(Mode mode) => mode is Mode.Live ? "sk_live_" : "sk_test_";

    private static string Checksum(string text)
    {
        // CRC-32 as in IEEE 802.3, bit by bit: it runs once per unknown key, and a table would be longer than the rule.
        var crc = uint.MaxValue;
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB88320;
        }

        crc = ~crc;
        return string.Create(ChecksumLength, crc, static (span, value) =>
        {
            for (var i = span.Length - 1; i >= 0; i--, value >>= 5) span[i] = Alphabet[(int)(value & 31)];
        });
    }
}
