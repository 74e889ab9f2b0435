using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Subscriptions;

public static class SubscriptionsSetup
{
    public static IServiceCollection AddSubscriptions(this IServiceCollection services) =>
        services.AddSingleton<SubscriptionStore>().AddSingleton<RenewalOperations>().AddSingleton<SubscriptionOperations>();
}
