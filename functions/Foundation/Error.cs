using System.Collections.Immutable;
using System.Globalization;

namespace Harbour.Foundation;

/// <summary>The languages of titles and details; codes are the same in both.</summary>
public enum Language { English, TraditionalChinese }

/// <summary>A text in both languages. <c>{0}</c> and so on stand for the arguments of an occurrence.</summary>
public sealed record Bilingual(string English, string Chinese)
{
    public string In(Language language) => language is Language.TraditionalChinese ? Chinese : English;
}

/// <summary>
/// A refusal: what the catalogue in <see cref="Errors"/> says of it, and what this occurrence adds. It is a value, not an exception.
/// </summary>
/// <param name="Code">Unique, snake_case, never changed.</param>
/// <param name="Status">The HTTP status that it is answered with.</param>
/// <param name="Retryable">True when the same request may succeed later.</param>
public sealed record Error(string Code, int Status, Bilingual Title, Bilingual Text, bool Retryable = false)
{
    /// <summary>The field, parameter or header that is meant.</summary>
    public string? Param { get; init; }

    /// <summary>What stands in the places of <see cref="Text"/>.</summary>
    public ImmutableArray<object> Args { get; init; } = [];

    /// <summary>The refusals of single fields that this one sums up.</summary>
    public ImmutableArray<Error> Inner { get; init; } = [];

    /// <summary>The object that the refusal concerns, by its kind and id: <c>("charge", "ch_…")</c>.</summary>
    public (string Kind, string Id)? Object { get; init; }

    /// <summary>The issuer's reason in the provider's words, for a decline.</summary>
    public string? DeclineCode { get; init; }

    /// <summary>When another try may succeed.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>This refusal, of a field, with the arguments of its text.</summary>
    public Error At(string param, params object[] args) => this with { Param = param, Args = [.. args] };

    /// <summary>This refusal with the arguments of its text.</summary>
    public Error With(params object[] args) => this with { Args = [.. args] };

    /// <summary>This refusal, about an object.</summary>
    public Error About(string kind, string id) => this with { Object = (kind, id) };

    public string Detail(Language language)
    {
        // The field's name comes from the caller, so it goes in as an argument and never as part of the format.
        var format = Text.In(language).Replace("{param}", "{" + Args.Length + "}", StringComparison.Ordinal);
        return string.Format(CultureInfo.InvariantCulture, format, [.. Args, Param ?? ""]);
    }
}
