using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Refunds;

public static class RefundsSetup
{
    public static IServiceCollection AddRefunds(this IServiceCollection services) => services
        .AddSingleton<RefundStore>()
        .AddSingleton<RefundOperations>();
}
