using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Harbour.Access;

/// <summary>
/// Tells whether two requests are the same one, sent again. A body of JSON counts by what it says: white space, the order of names
/// and the way a character is escaped make no difference, numbers count as they are written (1.0 is not 1, for one may be refused).
/// Any other body counts byte by byte.
/// </summary>
public static class RequestHash
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <returns>SHA-256 in lower-case hexadecimal.</returns>
    public static string Of(string method, string path, ReadOnlyMemory<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var canonical = Canonical(body);
        hash.AppendData(Encoding.UTF8.GetBytes($"{method}\n{path}\n{(canonical is null ? "raw" : "json")}\n"));
        hash.AppendData((canonical ?? body).Span);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static ReadOnlyMemory<byte>? Canonical(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty) return null;
        try
        {
            using var document = JsonDocument.Parse(body, Strict);
            var buffer = new MemoryStream(body.Length);
            using (var writer = new Utf8JsonWriter(buffer)) Write(writer, document.RootElement);
            return buffer.ToArray();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            // Not JSON, or strings in it that are no text (half of a surrogate pair).
            return null;
        }
    }

    private static void Write(Utf8JsonWriter writer, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var property in element.EnumerateObject().OrderBy(p => p.Name, StringComparer.Ordinal))
                {
                    writer.WritePropertyName(property.Name);
                    Write(writer, property.Value);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in element.EnumerateArray()) Write(writer, item);
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(element.GetString());
                break;
            default:
                writer.WriteRawValue(element.GetRawText());
                break;
        }
    }
}
