using System.Collections.Concurrent;
using Azure;
using Azure.Identity;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>
/// Reads secrets by name: from Key Vault where <c>KeyVault:Uri</c> is set, otherwise from the configuration under <c>Secrets:</c>.
/// A secret of the vault is kept for five minutes and then read again, so a rotation needs no restart; while the vault cannot be
/// reached the value that is known goes on being used.
/// </summary>
public sealed class SecretReader(SecretClient? vault, IConfiguration configuration, TimeProvider time, ILogger<SecretReader> log)
{
    /// <summary>How long a value from the vault is used before it is read again.</summary>
    public static readonly TimeSpan Freshness = TimeSpan.FromMinutes(5);

    private sealed record Cached(Secret Secret, long ReadAt);

    private readonly ConcurrentDictionary<string, Cached> cache = new(StringComparer.Ordinal);

    /// <summary>The vault that the configuration names, if any.</summary>
    public static SecretClient? Vault(IConfiguration configuration) =>
        configuration["KeyVault:Uri"] is { Length: > 0 } uri ? new SecretClient(new Uri(uri), new DefaultAzureCredential()) : null;

    /// <exception cref="InvalidOperationException">There is no such secret.</exception>
    public ValueTask<Secret> ReadAsync(string name, CancellationToken cancellation = default)
    {
        if (vault is null)
            return new(configuration["Secrets:" + name] is { Length: > 0 } value ? new Secret(value) : throw new InvalidOperationException($"The secret {name} is not configured."));
        if (cache.TryGetValue(name, out var cached) && time.GetElapsedTime(cached.ReadAt) < Freshness) return new(cached.Secret);
        return new(RefreshAsync(vault, name, cached, cancellation));
    }

    private async Task<Secret> RefreshAsync(SecretClient client, string name, Cached? known, CancellationToken cancellation)
    {
        try
        {
            var answer = await client.GetSecretAsync(name, cancellationToken: cancellation);
            var secret = new Secret(answer.Value.Value);
            cache[name] = new Cached(secret, time.GetTimestamp());
            return secret;
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            throw new InvalidOperationException($"The secret {name} is not in the vault.", e);
        }
        catch (Exception e) when (known is not null && !cancellation.IsCancellationRequested)
        {
            log.LogWarning("The vault gave no answer for the secret {Name} ({Reason}); the known value stays in use", name, e.GetType().Name);
            cache[name] = known with { ReadAt = time.GetTimestamp() };
            return known.Secret;
        }
    }
}
