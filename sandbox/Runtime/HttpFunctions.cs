using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox.Runtime;

/// <summary>Makes an endpoint of every HTTP function, with the route prefix that the real host would read from host.json.</summary>
internal static class HttpFunctions
{
    public static void MapHttpFunctions(this WebApplication app)
    {
        var runner = app.Services.GetRequiredService<FunctionRunner>();
        var prefix = HostJson.RoutePrefix(HostJson.OfThisHost);
        foreach (var (function, trigger) in app.Services.GetRequiredService<FunctionCatalogue>().StartedBy<HttpTriggerAttribute>())
        {
            if (trigger.AuthLevel != AuthorizationLevel.Anonymous)
                throw new InvalidOperationException($"Function {function.Name} asks for host keys, which the sandbox does not have: use AuthorizationLevel.Anonymous.");

            var route = $"{prefix}/{trigger.Route ?? function.Name}";
            RequestDelegate serve = http => runner.ServeAsync(function, http);
            var endpoint = trigger.Methods is { Length: > 0 } methods ? app.MapMethods(route, methods, serve) : app.Map(route, serve);
            endpoint.WithDisplayName(function.Name);
        }
    }
}
