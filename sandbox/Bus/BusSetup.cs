using Azure.Messaging.ServiceBus;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Harbour.Sandbox.Bus;

internal static class BusSetup
{
    /// <summary>Puts the sandbox's bus in the place of the network's. A host that only answers requests sends, and delivers nothing.</summary>
    public static void AddBus(this IServiceCollection services, string storage, SandboxRole role)
    {
        services.AddSingleton(new BusStorage(storage));
        if (role == SandboxRole.All)
        {
            services.AddSingleton<BusDispatcher>();
            services.AddSingleton<DueSource>(provider => provider.GetRequiredService<BusDispatcher>());
        }

        services.AddSingleton(provider => new BusArrivals(provider.GetRequiredService<BusStorage>(), provider.GetService<BusDispatcher>()));
        services.RemoveAll<ServiceBusClient>();
        services.AddSingleton<ServiceBusClient>(provider =>
            new BusClient(provider.GetRequiredService<BusStorage>(), provider.GetRequiredService<BusArrivals>(), provider.GetRequiredService<TimeProvider>()));
    }
}
