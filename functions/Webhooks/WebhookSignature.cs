using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>
/// The signature of the Standard Webhooks specification, version 1.0.0: HMAC-SHA256 over <c>{id}.{timestamp}.{body}</c> under the bytes
/// that the secret's part behind <c>whsec_</c> is the base64 of. A header holds one signature for each secret that is good, apart by spaces.
/// </summary>
public static class WebhookSignature
{
    public const string SecretPrefix = "whsec_", IdHeader = "webhook-id", TimestampHeader = "webhook-timestamp", SignatureHeader = "webhook-signature";

    private const string Version = "v1,";

    /// <summary>What <c>webhook-timestamp</c> says: whole seconds since 1970.</summary>
    public static string Timestamp(DateTimeOffset at) => at.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);

    /// <summary>What <c>webhook-signature</c> says, in the order of the secrets.</summary>
    public static string Sign(string id, DateTimeOffset at, ReadOnlySpan<byte> body, params IEnumerable<Secret> secrets)
    {
        var signed = Signed(id, Timestamp(at), body);
        return string.Join(' ', secrets.Select(secret => Version + Convert.ToBase64String(HMACSHA256.HashData(Key(secret), signed))));
    }

    /// <summary>What a receiver does: true when one of the signatures is ours and the time is near enough.</summary>
    public static bool Verify(string header, string id, string timestamp, ReadOnlySpan<byte> body, Secret secret, DateTimeOffset now, TimeSpan tolerance)
    {
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)) return false;
        if (Math.Abs((decimal)now.ToUnixTimeSeconds() - seconds) > (decimal)tolerance.TotalSeconds) return false;

        var expected = Encoding.ASCII.GetBytes(Version + Convert.ToBase64String(HMACSHA256.HashData(Key(secret), Signed(id, timestamp, body))));
        var found = false;
        foreach (var signature in header.Split(' '))
            found |= CryptographicOperations.FixedTimeEquals(expected, Encoding.UTF8.GetBytes(signature));
        return found;
    }

    private static byte[] Key(Secret secret) => Convert.FromBase64String(secret.Reveal()[SecretPrefix.Length..]);

    private static byte[] Signed(string id, string timestamp, ReadOnlySpan<byte> body) => [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
}
