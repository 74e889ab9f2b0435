using System.Text.RegularExpressions;

namespace Harbour.Webhooks;

/// <summary>
/// The catalogue of event types, and what an endpoint may ask for: <c>*</c> for all, a type, or a family such as <c>charge.*</c>. In the
/// families that are still open any type is taken, since a type that comes later must not make today's endpoints wrong.
/// </summary>
public static partial class EventTypes
{
    private static readonly Dictionary<string, string[]> Families = new(StringComparer.Ordinal)
    {
        ["charge"] = ["succeeded", "failed", "requires_action", "authorized", "canceled", "unknown"],
        ["refund"] = ["succeeded", "failed"],
        ["mandate"] = ["active", "revoked", "expired"],
        ["subscription"] = ["created", "renewed", "past_due", "unpaid", "paused", "resumed", "canceled"],
        ["invoice"] = ["paid", "payment_failed", "uncollectible"],
        ["batch_transfer"] = ["completed"],
        ["report"] = ["ready"],
        ["split"] = [],
        ["transfer"] = [],
        ["loan"] = [],
        ["account"] = [],
    };

    /// <summary>True for <c>*</c>, a known type, and a family.</summary>
    public static bool IsPattern(string text)
    {
        if (text == "*") return true;
        if (!Shape().IsMatch(text)) return false;
        var dot = text.IndexOf('.', StringComparison.Ordinal);
        if (!Families.TryGetValue(text[..dot], out var types)) return false;
        return types.Length == 0 || text[(dot + 1)..] == "*" || types.Contains(text[(dot + 1)..]);
    }

    /// <summary>Whether an event of this type is meant.</summary>
    public static bool Matches(string pattern, string type) =>
        pattern == "*" || pattern == type || (pattern.EndsWith(".*", StringComparison.Ordinal) && type.StartsWith(pattern[..^1], StringComparison.Ordinal));

    [GeneratedRegex(@"\A[a-z_]{1,40}\.(?:[a-z_]{1,40}|\*)\z")]
    private static partial Regex Shape();
}
