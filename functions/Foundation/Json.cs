using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harbour.Foundation;

/// <summary>How objects are written, in answers and in storage alike: snake_case, Hong Kong time, Chinese as it is.</summary>
public static class Json
{
    public static readonly JsonSerializerOptions Options = Make();

    public static byte[] Bytes<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value, Options);
    public static string Text<T>(T value) => JsonSerializer.Serialize(value, Options);
    public static T Parse<T>(string text) => JsonSerializer.Deserialize<T>(text, Options) ?? throw new JsonException("The stored value is null.");

    private static JsonSerializerOptions Make()
    {
        var options = new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            NumberHandling = JsonNumberHandling.Strict,
        };
        options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false));
        options.Converters.Add(new TimeJson());
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }

    private sealed class TimeJson : JsonConverter<DateTimeOffset>
    {
        public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            HongKong.TryParse(reader.GetString(), out var at) ? at : throw new JsonException("Not a time of RFC 3339.");

        public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
            writer.WriteStringValue(HongKong.Format(value));
    }
}
