using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Webhooks;

public static class WebhooksSetup
{
    public static IServiceCollection AddWebhooks(this IServiceCollection services) => services
        .AddSingleton<WebhookStore>()
        .AddSingleton<WebhookSecrets>()
        .AddSingleton<TargetGuard>()
        .AddSingleton<WebhookClient>()
        .AddSingleton<Bulkhead>()
        .AddSingleton<DeliveryMessages>()
        .AddSingleton<WebhookOperations>()
        .AddSingleton<DeliveryOperations>();
}
