using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Customers;

public static class CustomersSetup
{
    public static IServiceCollection AddCustomers(this IServiceCollection services) => services
        .AddSingleton<CustomerStore>()
        .AddSingleton<CustomerOperations>()
        .AddSingleton<MandateStore>()
        .AddSingleton<MandateOperations>();
}
