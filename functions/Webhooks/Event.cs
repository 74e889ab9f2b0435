using System.Text;
using System.Text.Json;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>
/// Something that happened, as the commit that made it happen wrote it down. It never changes: what is stored is sent, and signed, byte
/// for byte.
/// </summary>
/// <param name="Body">All of it, as merchants see it.</param>
public sealed record Event(Id<Event> Id, string Type, DateTimeOffset CreatedAt, string RequestId, JsonElement Body) : IHasId
{
    public static string Prefix => "evt_";

    /// <summary>What is sent and signed.</summary>
    public byte[] Bytes => Encoding.UTF8.GetBytes(Body.GetRawText());

    public static Event Of(JsonElement body) => new(
        Id<Event>.Parse(Text(body, "id")), Text(body, "type"),
        HongKong.TryParse(Text(body, "created_at"), out var at) ? at : throw new InvalidDataException("An event has no time."), Text(body, "request_id"), body);

    private static string Text(JsonElement body, string name) => body.GetProperty(name).GetString() ?? throw new InvalidDataException($"An event has no {name}.");
}
