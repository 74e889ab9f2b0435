using Harbour.Foundation;
using Harbour.Providers.Stripe;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Providers;

public static class ProvidersSetup
{
    /// <summary>Every provider, with its keys from the vault, and the router between them.</summary>
    public static IServiceCollection AddProviders(this IServiceCollection services) => services
        .AddSingleton<StripeKey>(provider => async (mode, cancellation) =>
            (await provider.GetRequiredService<SecretReader>().ReadAsync(mode is Mode.Live ? "stripe-secret-key-live" : "stripe-secret-key-test", cancellation)).Reveal())
        .AddStripe()
        .AddSingleton<Router>();
}
