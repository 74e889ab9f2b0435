using Harbour.Access;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Harbour.Tests;

/// <summary>For tests that count what a request asks of storage.</summary>
internal static class QuietServices
{
    /// <summary>Leaves out what writes to storage beside the requests, so that it is not counted as theirs.</summary>
    public static IServiceCollection WithoutWorkBesideRequests(this IServiceCollection services)
    {
        foreach (var worker in services.Where(s => s.ServiceType == typeof(IHostedService) && s.ImplementationType == typeof(RequestLogWriter)).ToList()) services.Remove(worker);
        return services;
    }
}
