using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>
/// Something that happened, as the commit that made it happen wrote it down. It never changes: what is stored is sent, and signed, byte
/// for byte.
/// </summary>
/// <param name="Body">All of it, as merchants see it.</param>
[JsonConverter(typeof(EventJson))]
public sealed record Event(Id<Event> Id, string Type, DateTimeOffset CreatedAt, string RequestId, JsonElement Body) : IHasId
{
    public static string Prefix => "evt_";

    /// <summary>What is sent and signed.</summary>
    public byte[] Bytes => Encoding.UTF8.GetBytes(Body.GetRawText());

    private sealed class EventJson : JsonConverter<Event>
    {
        public override Event Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            var body = JsonElement.ParseValue(ref reader);
            return new Event(
                Id<Event>.Parse(Text(body, "id")), Text(body, "type"), body.GetProperty("created_at").Deserialize<DateTimeOffset>(options), Text(body, "request_id"), body);
        }

        public override void Write(Utf8JsonWriter writer, Event value, JsonSerializerOptions options) => value.Body.WriteTo(writer);

        private static string Text(JsonElement body, string name) => body.GetProperty(name).GetString() ?? throw new JsonException($"An event has no {name}.");
    }
}
