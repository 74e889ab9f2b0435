using System.Text.Json;

namespace Harbour.Sandbox.Runtime;

/// <summary>What the sandbox heeds of host.json. Where that says nothing, the real host's own values hold.</summary>
internal static class HostJson
{
    public static string OfThisHost { get; } = Path.Combine(AppContext.BaseDirectory, "host.json");

    public static string RoutePrefix(string file) => Read(file, "http", "routePrefix", value => value.GetString()!, "api");

    /// <summary>How many messages of one queue are under way at once.</summary>
    public static int MaxConcurrentCalls(string file) => Read(file, "serviceBus", "maxConcurrentCalls", value => value.GetInt32(), 16);

    private static T Read<T>(string file, string extension, string setting, Func<JsonElement, T> read, T otherwise)
    {
        if (!File.Exists(file)) return otherwise;
        var options = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
        using var json = JsonDocument.Parse(File.ReadAllText(file), options);
        return json.RootElement.TryGetProperty("extensions", out var extensions)
            && extensions.TryGetProperty(extension, out var found)
            && found.TryGetProperty(setting, out var value) ? read(value) : otherwise;
    }
}
