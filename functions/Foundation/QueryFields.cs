using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Harbour.Foundation;

/// <summary>Reads the query of a list, and collects every refusal. What is not asked for is refused as unknown.</summary>
public sealed class QueryFields(IQueryCollection query)
{
    private readonly List<Error> refusals = [];
    private readonly HashSet<string> asked = new(StringComparer.Ordinal);

    public void Refuse(Error error) => refusals.Add(error);

    public Error? Finish()
    {
        foreach (var name in query.Keys)
            if (!asked.Contains(name)) Refuse(Errors.FieldUnknown.At(name));
        return refusals.Count == 0 ? null : Errors.Of(refusals);
    }

    /// <summary>How many objects a page has: 1 to 100, 20 if not said.</summary>
    public int Limit()
    {
        if (Single("limit") is not { } text) return 20;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit is >= 1 and <= 100) return limit;
        Refuse(Errors.FieldInvalid.At("limit", "a whole number from 1 to 100"));
        return 20;
    }

    public string? Text(string name, int maxLength)
    {
        if (Single(name) is not { } text) return null;
        if (text.Length <= maxLength) return text;
        Refuse(Errors.FieldTooLong.At(name, maxLength));
        return null;
    }

    public Id<T>? Id<T>(string name) where T : IHasId
    {
        if (Single(name) is not { } text) return null;
        if (Foundation.Id<T>.TryParse(text, out var id)) return id;
        Refuse(Errors.FieldInvalid.At(name, $"an id that starts with {T.Prefix}"));
        return null;
    }

    public T? OneOf<T>(string name) where T : struct, Enum
    {
        if (Single(name) is not { } text) return null;
        foreach (var value in Enum.GetValues<T>())
            if (Name(value) == text) return value;
        Refuse(Errors.FieldInvalid.At(name, "one of " + string.Join(", ", Enum.GetValues<T>().Select(Name))));
        return null;
    }

    public Currency? Currency(string name, IReadOnlyCollection<Currency> allowed)
    {
        if (Single(name) is not { } text) return null;
        if (Foundation.Currency.TryParse(text, out var currency) && allowed.Contains(currency)) return currency;
        Refuse(Errors.CurrencyNotSupported.At(name, string.Join(", ", allowed)));
        return null;
    }

    /// <summary>A moment of RFC 3339 with any offset.</summary>
    public DateTimeOffset? Time(string name)
    {
        if (Single(name) is not { } text) return null;
        // A plus sign that was not escaped arrives as a space.
        if (HongKong.TryParse(text.Replace(' ', '+'), out var at) && at.UtcDateTime.Year is >= 1970 and <= 2500) return at;
        Refuse(Errors.FieldInvalid.At(name, "a time of RFC 3339 with an offset, such as 2026-11-23T10:00:00+08:00"));
        return null;
    }

    private static string Name<T>(T value) where T : struct, Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    private string? Single(string name)
    {
        asked.Add(name);
        if (!query.TryGetValue(name, out var values)) return null;
        if (values is [var only]) return only is { Length: > 0 } ? only : null;
        Refuse(Errors.FieldInvalid.At(name, "given once"));
        return null;
    }
}
