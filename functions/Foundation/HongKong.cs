using System.Globalization;

namespace Harbour.Foundation;

/// <summary>Hong Kong time: UTC+8 all year, without daylight saving since 1979.</summary>
public static class HongKong
{
    public static readonly TimeSpan Offset = TimeSpan.FromHours(8);

    public static DateTimeOffset Time(DateTimeOffset at) => at.ToOffset(Offset);

    /// <summary>RFC 3339 with milliseconds and the offset of Hong Kong, as in every answer, report and log.</summary>
    public static string Format(DateTimeOffset at) => Time(at).ToString("yyyy-MM-dd'T'HH:mm:ss.fffzzz", CultureInfo.InvariantCulture);

    /// <summary>Takes RFC 3339 with any offset; without one the text is refused, for it could mean two moments.</summary>
    public static bool TryParse(string? text, out DateTimeOffset at)
    {
        at = default;
        return text is not null && DateTimeOffset.TryParseExact(text, Accepted, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out at);
    }

    private static readonly string[] Accepted =
    [
        "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'",
        "yyyy-MM-dd'T'HH:mm:sszzz", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFzzz",
    ];
}
