using Azure.Data.Tables;
using Harbour.Sandbox.Runtime;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Durable;

internal static class DurableSetup
{
    /// <summary>Every host has the client; the engine is in the one that does more than answer requests.</summary>
    public static void AddDurable(this IServiceCollection services, string connectionString, DurableOptions options, bool hasEngine)
    {
        services.AddSingleton(s => new DurableStore(connectionString, s.GetService<Action<TableClientOptions>>()));
        services.AddSingleton(new Notices(connectionString));
        services.AddSingleton<Payloads>();
        services.AddSingleton<DurableTaskClient>(s => new SandboxDurableTaskClient(
            s.GetRequiredService<DurableStore>(), s.GetRequiredService<Notices>(), s.GetRequiredService<Payloads>(), s.GetRequiredService<TimeProvider>(), s.GetService<DurableEngine>()));
        if (!hasEngine) return;
        services.AddSingleton(s => new DurableEngine(
            s.GetRequiredService<DurableStore>(), s.GetRequiredService<Notices>(), s.GetRequiredService<Payloads>(), s.GetRequiredService<FunctionCatalogue>(),
            s.GetRequiredService<FunctionRunner>(), options, s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILoggerFactory>()));
        services.AddSingleton<DueSource>(s => s.GetRequiredService<DurableEngine>());
    }
}
