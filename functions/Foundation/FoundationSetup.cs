using Azure.Identity;
using Azure.Messaging.ServiceBus;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Harbour.Foundation;

/// <summary>What every capability stands on. Time and chance are registered here, and replaced nowhere but in the sandbox and in tests.</summary>
public static class FoundationSetup
{
    public static IServiceCollection AddFoundation(this IServiceCollection services)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(provider => new Ids(provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new Storage(provider.GetRequiredService<IConfiguration>(), provider.GetService<Action<Azure.Data.Tables.TableClientOptions>>()));
        services.AddSingleton(provider => new SecretReader(
            SecretReader.Vault(provider.GetRequiredService<IConfiguration>()), provider.GetRequiredService<IConfiguration>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<SecretReader>>()));
        services.AddSingleton(provider => Connect(provider.GetRequiredService<IConfiguration>()));
        services.AddSingleton<Outbox>();
        services.AddSingleton<OutboxPump>();
        services.AddHostedService(provider => provider.GetRequiredService<OutboxPump>());
        services.AddSingleton<OutboxSweeper.Progress>();
        services.AddSingleton<Books>();
        services.AddSingleton<ActivityMarkers>();
        services.Replace(ServiceDescriptor.Singleton<ILoggerFactory>(provider =>
            new RedactingLoggers(new LoggerFactory(
                provider.GetServices<ILoggerProvider>(), provider.GetRequiredService<IOptionsMonitor<LoggerFilterOptions>>(),
                provider.GetService<IOptions<LoggerFactoryOptions>>(), provider.GetService<IExternalScopeProvider>()))));
        return services;
    }

    /// <summary>The bus, by the setting that the triggers name too: <c>ServiceBus</c>, or <c>ServiceBus:fullyQualifiedNamespace</c> with the managed identity.</summary>
    private static ServiceBusClient Connect(IConfiguration configuration)
    {
        if (configuration["ServiceBus"] is { Length: > 0 } connection) return new ServiceBusClient(connection);
        var name = configuration["ServiceBus:fullyQualifiedNamespace"] ?? throw new InvalidOperationException("Set ServiceBus or ServiceBus:fullyQualifiedNamespace.");
        return new ServiceBusClient(name, new DefaultAzureCredential());
    }
}
