using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>
/// Makes the secrets that endpoints verify our signatures with, and keeps them unreadable at rest. We must be able to sign with them, so
/// a hash will not do: they are encrypted under the secret <c>webhook-secrets-key</c>, one or more keys of 32 bytes in base64, apart by
/// spaces. The first encrypts, all decrypt. To rotate: put the new key second, once every worker has read it put it first, and keep the
/// old one as long as rows written under it are in use.
/// </summary>
public sealed class WebhookSecrets(SecretReader secrets, Ids ids)
{
    public const string KeySecret = "webhook-secrets-key";

    /// <summary>The specification asks for 24 to 64 bytes.</summary>
    private const int SecretBytes = 32;

    public Secret Make() => new(WebhookSignature.SecretPrefix + Convert.ToBase64String(ids.RandomBytes(SecretBytes)));

    /// <exception cref="InvalidOperationException">The secret holds no key of 32 bytes.</exception>
    public async ValueTask<SecretBox> OpenAsync(CancellationToken cancellation = default) =>
        new([.. (await secrets.ReadAsync(KeySecret, cancellation)).Reveal().Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Convert.FromBase64String)], ids);
}

/// <summary>Encrypts and decrypts with AES-256-GCM. A sealed text names its key and holds the nonce; it opens only where it was sealed for.</summary>
public sealed class SecretBox
{
    private const int KeyBytes = 32, NonceBytes = 12, TagBytes = 16;

    private readonly ImmutableArray<byte[]> keys;
    private readonly Ids ids;

    internal SecretBox(ImmutableArray<byte[]> keys, Ids ids)
    {
        if (keys.IsEmpty || keys.Any(key => key.Length != KeyBytes)) throw new InvalidOperationException($"The secret {WebhookSecrets.KeySecret} must hold keys of {KeyBytes} bytes in base64.");
        (this.keys, this.ids) = (keys, ids);
    }

    /// <param name="place">Where the sealed text will be, so that it says nothing anywhere else.</param>
    public string Seal(string text, string place)
    {
        var (nonce, plain) = (ids.RandomBytes(NonceBytes), Encoding.UTF8.GetBytes(text));
        var (cipher, tag) = (new byte[plain.Length], new byte[TagBytes]);
        using var aes = new AesGcm(keys[0], TagBytes);
        aes.Encrypt(nonce, plain, cipher, tag, Encoding.UTF8.GetBytes(place));
        return $"{Name(keys[0])}.{Convert.ToBase64String([.. nonce, .. cipher, .. tag])}";
    }

    /// <exception cref="CryptographicException">It was sealed under a key that is gone, for another place, or was changed.</exception>
    public Secret Open(string text, string place)
    {
        var dot = text.IndexOf('.', StringComparison.Ordinal);
        var key = keys.FirstOrDefault(key => Name(key) == text[..Math.Max(0, dot)]) ?? throw new CryptographicException("The key of a sealed text is not known.");
        var bytes = Convert.FromBase64String(text[(dot + 1)..]);
        var plain = new byte[bytes.Length - NonceBytes - TagBytes];
        using var aes = new AesGcm(key, TagBytes);
        aes.Decrypt(bytes.AsSpan(0, NonceBytes), bytes.AsSpan(NonceBytes, plain.Length), bytes.AsSpan(NonceBytes + plain.Length), plain, Encoding.UTF8.GetBytes(place));
        return new Secret(Encoding.UTF8.GetString(plain));
    }

    /// <summary>Says which key it was, and nothing of the key.</summary>
    private static string Name(byte[] key) => Convert.ToHexStringLower(SHA256.HashData(key).AsSpan(0, 4));
}
