using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Requests;

public static class RequestsSetup
{
    public static IServiceCollection AddRequests(this IServiceCollection services) => services.AddSingleton<RequestHistory>();
}
