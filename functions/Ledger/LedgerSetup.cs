using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Ledger;

public static class LedgerSetup
{
    public static IServiceCollection AddLedger(this IServiceCollection services) => services.AddSingleton<LedgerBooks>();
}
