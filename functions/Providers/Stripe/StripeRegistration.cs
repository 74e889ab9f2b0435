using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Providers.Stripe;

/// <summary>Puts Stripe among the providers.</summary>
public static class StripeRegistration
{
    /// <summary>
    /// Adds Stripe as an <see cref="IProvider"/>. The application registers a <see cref="StripeKey"/>, and may register a
    /// <see cref="StripeWire"/>. Configuration, read when Stripe is first called: <c>Stripe:BaseUrl</c> (Stripe's own),
    /// <c>Stripe:TimeoutSeconds</c> (10), <c>Stripe:RetryDelayMilliseconds</c> (100).
    /// </summary>
    public static IServiceCollection AddStripe(this IServiceCollection services)
    {
        services.AddMetrics();
        services.AddSingleton<StripeProvider>();
        services.AddSingleton<IProvider>(static provider => provider.GetRequiredService<StripeProvider>());
        return services;
    }
}
