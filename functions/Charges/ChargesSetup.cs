using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Charges;

public static class ChargesSetup
{
    public static IServiceCollection AddCharges(this IServiceCollection services) => services
        .AddSingleton<ChargeStore>()
        .AddSingleton<ChargeLedger>()
        .AddSingleton<ChargeOperations>()
        .AddSingleton<ChargeChanges>();
}
