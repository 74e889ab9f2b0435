using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Operations;

public static class OperationsSetup
{
    public static IServiceCollection AddOperations(this IServiceCollection services) => services.AddSingleton<Janitor>();
}
