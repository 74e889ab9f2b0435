using System.Security.Cryptography;

namespace Harbour.Sandbox;

/// <summary>The secrets that Azure would keep in a key vault. Each storage gets its own, made at its first start; none is in the source.</summary>
internal static class Secrets
{
    public static async Task AddToAsync(Dictionary<string, string?> settings, SharedSettings shared, CancellationToken cancellation)
    {
        settings["Secrets:api-key-pepper"] =
            await shared.KeepAsync("Secrets:api-key-pepper", () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)), cancellation);
        settings["Secrets:webhook-secrets-key"] =
            await shared.KeepAsync("Secrets:webhook-secrets-key", () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)), cancellation);
        settings["Secrets:oauth-signing-key"] = await shared.KeepAsync("Secrets:oauth-signing-key", MakeSigningKey, cancellation);
    }

    private static string MakeSigningKey()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return key.ExportPkcs8PrivateKeyPem();
    }
}
