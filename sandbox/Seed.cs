using System.Collections.Immutable;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox;

/// <summary>
/// The demo merchants and their credentials, put into storage through the stores that the functions use. Their ids are fixed and
/// what is there already stays as it is, so that a restart adds nothing and undoes nothing.
/// </summary>
public static class Seed
{
    /// <summary>The demo keys carry no checksum; keys that start so after their mode are looked up all the same.</summary>
    public const string UncheckedKeyPrefix = "harbour_";

    /// <summary>The name under which the host is told <see cref="UncheckedKeyPrefix"/>.</summary>
    public const string UncheckedKeyPrefixSetting = "Access:UncheckedKeyPrefix";

    public static readonly Id<Merchant> Demo = Id<Merchant>.Parse("mch_00000000000000000000000001");
    public static readonly Id<Merchant> Other = Id<Merchant>.Parse("mch_00000000000000000000000002");

    public static async Task RunAsync(IServiceProvider services, CancellationToken cancellation = default)
    {
        var merchants = services.GetRequiredService<MerchantStore>();
        await Task.WhenAll(
            merchants.AddAsync(Fast(Merchant.OnStandardTerms(Demo, "Harbour Demo Limited")), cancellation),
            merchants.AddAsync(Fast(Merchant.OnStandardTerms(Other, "Other Demo Limited")), cancellation));

        var pepper = await services.GetRequiredService<SecretReader>().ReadAsync(ApiKey.PepperSecret, cancellation);
        var credentials = services.GetRequiredService<CredentialStore>();
        await Task.WhenAll(
            AddKey(1, "sk_test_harbour_demo", Demo, Mode.Test, Scopes.All),
            AddKey(2, "sk_test_harbour_readonly", Demo, Mode.Test, ["charges:read"]),
            AddKey(3, "sk_test_harbour_ip", Demo, Mode.Test, Scopes.All, "203.0.113.0/24"),
            AddKey(4, "sk_live_harbour_demo", Demo, Mode.Live, Scopes.All),
            AddKey(5, "sk_test_harbour_other", Other, Mode.Test, Scopes.All),
            Add(6, CredentialKind.Client, Handles.OfClient("harbour-demo"), ApiKey.ProofOf("harbour-demo-secret", pepper), Demo, Mode.Test, Scopes.All));

        Task AddKey(int number, string key, Id<Merchant> merchant, Mode mode, ImmutableArray<string> scopes, params string[] networks)
        {
            var proof = ApiKey.ProofOf(key, pepper);
            return Add(number, CredentialKind.Key, Handles.OfKey(proof), proof, merchant, mode, scopes, networks);
        }

        Task Add(int number, CredentialKind kind, string handle, string proof, Id<Merchant> merchant, Mode mode, ImmutableArray<string> scopes, params string[] networks)
        {
            var id = Id<Credential>.Parse($"key_{number:D26}");
            return credentials.AddAsync(new Credential(id, merchant, mode, kind, handle, proof, scopes, AllowList.Parse(networks)), cancellation);
        }
    }

    /// <summary>Fast enough that load tests measure the platform and not the limit.</summary>
    private static Merchant Fast(Merchant merchant) => merchant with { RequestsPerSecond = 10_000, Burst = 20_000 };
}
