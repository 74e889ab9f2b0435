using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox.Runtime;

/// <summary>Makes an endpoint of every HTTP function, with the route prefix that the real host would read from host.json.</summary>
internal static class HttpFunctions
{
    /// <summary>The host's own prefix where host.json says nothing.</summary>
    private const string DefaultRoutePrefix = "api";

    public static void MapHttpFunctions(this WebApplication app)
    {
        var runner = app.Services.GetRequiredService<FunctionRunner>();
        var prefix = RoutePrefix(Path.Combine(AppContext.BaseDirectory, "host.json"));
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

    internal static string RoutePrefix(string hostJson)
    {
        if (!File.Exists(hostJson)) return DefaultRoutePrefix;
        var options = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
        using var json = JsonDocument.Parse(File.ReadAllText(hostJson), options);
        return json.RootElement.TryGetProperty("extensions", out var extensions)
            && extensions.TryGetProperty("http", out var http)
            && http.TryGetProperty("routePrefix", out var prefix) ? prefix.GetString()! : DefaultRoutePrefix;
    }
}
