using System.Text.Json;

namespace Harbour.Foundation;

/// <summary>
/// Reads the fields of a JSON body and collects every refusal, so that a caller learns of all mistakes at once. What is not asked
/// for is refused as unknown: a misspelt field must not silently change what is paid.
/// </summary>
public sealed class Fields
{
    private static readonly JsonDocumentOptions Reading = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    private readonly JsonElement element;
    private readonly string path;
    private readonly List<Error> refusals;
    private readonly HashSet<string> asked = new(StringComparer.Ordinal);

    private Fields(JsonElement element, string path, List<Error> refusals)
    {
        this.element = element;
        this.path = path;
        this.refusals = refusals;
    }

    /// <summary>Takes the body of a request; none at all reads as an object without fields.</summary>
    public static Result<Fields> Parse(ReadOnlyMemory<byte> body)
    {
        if (body.Length == 0) body = "{}"u8.ToArray();
        try
        {
            using var document = JsonDocument.Parse(body, Reading);
            var root = document.RootElement.Clone();
            if (root.ValueKind is not JsonValueKind.Object) return Errors.MalformedJson.With("it is not an object");
            if (FindCardData(root, "") is { } where) return Errors.RawCardDataRefused.At(where);
            return new Fields(root, "", []);
        }
        catch (JsonException e)
        {
            return Errors.MalformedJson.With(e.LineNumber is { } line ? $"line {line + 1}, byte {e.BytePositionInLine + 1}" : "it cannot be read");
        }
        catch (InvalidOperationException)
        {
            // A string that is not valid UTF-8, or holds half of a surrogate pair, cannot be read as text.
            return Errors.MalformedJson.With("a string is not valid Unicode");
        }
    }

    /// <summary>Adds a refusal that a rule found.</summary>
    public void Refuse(Error error) => refusals.Add(error);

    /// <summary>The refusals so far, with those of fields that nobody asked for.</summary>
    public Error? Finish()
    {
        RefuseUnknown();
        return refusals.Count == 0 ? null : Errors.Of(refusals);
    }

    public string? Text(string name, int maxLength, bool required = false)
    {
        if (Find(name, required) is not { } value) return null;
        if (value.ValueKind is not JsonValueKind.String) return Refused<string>(Errors.FieldInvalid.At(path + name, "a string"));
        var text = value.GetString()!;
        if (text.Length == 0 && required) return Refused<string>(Errors.FieldRequired.At(path + name));
        if (HasControls(text)) return Refused<string>(Errors.FieldInvalid.At(path + name, "text without control characters"));
        return text.Length <= maxLength ? text : Refused<string>(Errors.FieldTooLong.At(path + name, maxLength));
    }

    /// <summary>One of the allowed texts.</summary>
    public string? OneOf(string name, ReadOnlySpan<string> allowed, string? otherwise = null, bool required = false)
    {
        if (Find(name, required) is not { } value) return otherwise;
        if (value.ValueKind is JsonValueKind.String && allowed.Contains(value.GetString()!)) return value.GetString();
        Refuse(Errors.FieldInvalid.At(path + name, "one of " + string.Join(", ", allowed.ToArray())));
        return otherwise;
    }

    public bool Flag(string name)
    {
        if (Find(name, required: false) is not { } value) return false;
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False) return value.GetBoolean();
        Refuse(Errors.FieldInvalid.At(path + name, "true or false"));
        return false;
    }

    public bool? MaybeFlag(string name) => Find(name, required: false) is null ? null : Flag(name);

    /// <summary>A whole number of minor units; whether it is within limits is the caller's rule.</summary>
    public long? Amount(string name, bool required = false)
    {
        if (Find(name, required) is not { } value) return null;
        if (value.ValueKind is JsonValueKind.Number && value.TryGetInt64(out var amount)) return amount;
        Refuse(Errors.AmountInvalid.At(path + name));
        return null;
    }

    /// <summary>A whole number within bounds, both included.</summary>
    public int? Whole(string name, int min, int max)
    {
        if (Find(name, required: false) is not { } value) return null;
        if (value.ValueKind is JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max) return number;
        Refuse(Errors.FieldInvalid.At(path + name, $"a whole number from {min} to {max}"));
        return null;
    }

    /// <summary>A moment of RFC 3339 with any offset, to the millisecond, which is what answers and storage keep.</summary>
    public DateTimeOffset? Time(string name)
    {
        if (Find(name, required: false) is not { } value) return null;
        if (value.ValueKind is JsonValueKind.String && HongKong.TryParse(value.GetString(), out var at) && at.UtcDateTime.Year is >= 1970 and <= 2500)
            return DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());
        Refuse(Errors.FieldInvalid.At(path + name, "a time of RFC 3339 with an offset, such as 2026-11-23T10:00:00+08:00"));
        return null;
    }

    /// <summary>The id of an object. What cannot be one is an object that is not there.</summary>
    public Id<T>? Id<T>(string name, Error notFound, bool required = false) where T : IHasId
    {
        if (Text(name, 64, required) is not { } text) return null;
        if (Foundation.Id<T>.TryParse(text, out var id)) return id;
        Refuse(notFound with { Param = path + name });
        return null;
    }

    public Currency? Currency(string name, IReadOnlyCollection<Currency> allowed, bool required = false)
    {
        if (Find(name, required) is not { } value) return null;
        if (value.ValueKind is JsonValueKind.String && Foundation.Currency.TryParse(value.GetString(), out var currency) && allowed.Contains(currency)) return currency;
        return Refused<Currency>(Errors.CurrencyNotSupported.At(path + name, string.Join(", ", allowed)));
    }

    /// <summary>An absolute https address.</summary>
    public string? HttpsUrl(string name)
    {
        if (Text(name, 2048) is not { } text) return null;
        return Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme == Uri.UriSchemeHttps ? text
            : Refused<string>(Errors.FieldInvalid.At(path + name, "an absolute https URL"));
    }

    /// <summary>A list of texts; null when there is none.</summary>
    public IReadOnlyList<string>? Texts(string name, int maxCount, int maxLength, bool required = false)
    {
        if (Find(name, required) is not { } value) return null;
        var items = value.ValueKind is JsonValueKind.Array ? value.EnumerateArray().ToList() : [];
        if (items.Count >= 1 && items.Count <= maxCount && items.All(item => item.ValueKind is JsonValueKind.String && item.GetString()!.Length <= maxLength))
            return [.. items.Select(item => item.GetString()!)];
        return Refused<IReadOnlyList<string>>(Errors.FieldInvalid.At(path + name, $"a list of 1 to {maxCount} strings of at most {maxLength} characters"));
    }

    public Fields? Object(string name, bool required = false)
    {
        if (Find(name, required) is not { } value) return null;
        return value.ValueKind is JsonValueKind.Object ? new Fields(value, path + name + ".", refusals)
            : Refused<Fields>(Errors.FieldInvalid.At(path + name, "an object"));
    }

    /// <summary>The labels where they are given: on a change, null leaves them as they are.</summary>
    public IReadOnlyDictionary<string, string>? MaybeMetadata(string name = "metadata") => Find(name, required: false) is null ? null : Metadata(name);

    /// <summary>The merchant's own labels: at most 50, a name of at most 40 characters, a value of at most 500.</summary>
    public IReadOnlyDictionary<string, string> Metadata(string name = "metadata")
    {
        var labels = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (Find(name, required: false) is not { } value) return labels;
        if (value.ValueKind is not JsonValueKind.Object)
        {
            Refuse(Errors.FieldInvalid.At(path + name, "an object of strings"));
            return labels;
        }

        foreach (var property in value.EnumerateObject())
        {
            var at = $"{path}{name}.{property.Name}";
            if (property.Name.Length == 0) Refuse(Errors.FieldInvalid.At(path + name, "an object without empty names"));
            else if (property.Name.Length > 40) Refuse(Errors.FieldTooLong.At(path + name, 40));
            else if (property.Value.ValueKind is not JsonValueKind.String) Refuse(Errors.FieldInvalid.At(at, "a string"));
            else if (property.Value.GetString()!.Length > 500) Refuse(Errors.FieldTooLong.At(at, 500));
            else if (HasControls(property.Name + property.Value.GetString())) Refuse(Errors.FieldInvalid.At(path + name, "text without control characters"));
            else labels[property.Name] = property.Value.GetString()!;
        }

        if (labels.Count > 50) Refuse(Errors.FieldInvalid.At(path + name, "an object of at most 50 names"));
        return labels;
    }

    /// <summary>Closes an inner object: what nobody asked for in it is refused.</summary>
    public void RefuseUnknown()
    {
        foreach (var property in element.EnumerateObject())
            if (!asked.Contains(property.Name)) Refuse(Errors.FieldUnknown.At(path + property.Name));
    }

    /// <summary>Not every provider and file format takes control characters; only tabs and line ends are let through.</summary>
    private static bool HasControls(string text) => text.Any(c => char.IsControl(c) && c is not ('\t' or '\n' or '\r'));

    private JsonElement? Find(string name, bool required)
    {
        asked.Add(name);
        if (element.TryGetProperty(name, out var value) && value.ValueKind is not JsonValueKind.Null) return value;
        if (required) Refuse(Errors.FieldRequired.At(path + name));
        return null;
    }

    private T? Refused<T>(Error error) where T : class
    {
        Refuse(error);
        return null;
    }

    private static string? FindCardData(JsonElement element, string path)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    var at = path.Length == 0 ? property.Name : $"{path}.{property.Name}";
                    if (path.StartsWith("payment_method", StringComparison.Ordinal) && CardData.IsCardField(property.Name)) return at;
                    if (CardData.ContainsCardNumber(property.Name)) return path;
                    if (FindCardData(property.Value, at) is { } found) return found;
                }

                return null;
            case JsonValueKind.Array:
                return element.EnumerateArray().Select((item, i) => FindCardData(item, $"{path}[{i}]")).FirstOrDefault(found => found is not null);
            case JsonValueKind.String:
                return CardData.ContainsCardNumber(element.GetString()!) ? path : null;
            case JsonValueKind.Number when path != "amount":
                return CardData.ContainsCardNumber(element.GetRawText()) ? path : null;
            default:
                return null;
        }
    }
}
