using System.Text.RegularExpressions;

namespace Harbour.Foundation;

/// <summary>
/// Finds card numbers and credentials in text. Requests that hold card data are refused (PCI DSS 3.3.1 and 3.4.1: what never comes
/// in cannot leak), and what is logged is masked. A number counts as a card's when it has a card network's prefix and length and its
/// check digit is right (ISO/IEC 7812); masking is broader and asks for the check digit alone.
/// </summary>
public static partial class CardData
{
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        "number", "card_number", "pan", "cvc", "cvv", "cvc2", "cvv2", "cid", "security_code", "exp_month", "exp_year", "expiry",
        "track1", "track2", "track_data", "pin", "pin_block",
    };

    /// <summary>True for the name of a field that only raw card data would have.</summary>
    public static bool IsCardField(string name) => Names.Contains(name);

    /// <summary>True when the text holds what is almost certainly a card number, however its digits are spaced and whatever stands beside it.</summary>
    public static bool ContainsCardNumber(string text)
    {
        foreach (var match in DigitRun().EnumerateMatches(text))
            if (HoldsNumber(text.Substring(match.Index, match.Length))) return true;
        return false;
    }

    /// <summary>The text with card numbers cut to their last four digits, and API keys, tokens and signing secrets masked.</summary>
    public static string Mask(string text)
    {
        if (text.Length < 12) return text;
        return Credential().Replace(DigitRun().Replace(text, static match => MaskRun(match.Value)), static m => m.Groups["keep"].Value + "***");
    }

    /// <summary>A run of digits without the card numbers in it. A run that is one number as a whole needs no network to be masked.</summary>
    private static string MaskRun(string run)
    {
        var digits = Digits(run);
        if (digits.Length is >= 13 and <= 19 && PassesLuhn(digits)) return "****" + new string(digits[^4..]);
        return HoldsNumber(run) ? "****" : run;
    }

    /// <summary>
    /// True when some groups of the run, taken whole, are a card number: before it may stand a count, behind it an expiry date or a
    /// security code. A number inside a longer unbroken one is not looked for, since most long references would hold one by chance.
    /// </summary>
    private static bool HoldsNumber(string run)
    {
        var groups = Group().Matches(run);
        for (var first = 0; first < groups.Count; first++)
        {
            var digits = "";
            for (var last = first; last < groups.Count && digits.Length < 19; last++)
            {
                digits += groups[last].Value;
                if (HasNetworkPrefix(digits) && PassesLuhn(digits)) return true;
            }
        }

        return false;
    }

    private static bool HasNetworkPrefix(ReadOnlySpan<char> digits)
    {
        if (digits.Length is < 13 or > 19) return false;
        var two = int.Parse(digits[..2]);
        var four = int.Parse(digits[..4]);
        return (two / 10 == 4 && digits.Length is 13 or 16 or 19)            // Visa
            || (two is >= 51 and <= 55 || four is >= 2221 and <= 2720) && digits.Length == 16  // Mastercard
            || (two is 34 or 37 && digits.Length == 15)                       // American Express
            || (two is 62 or 81 && digits.Length >= 16)                       // UnionPay
            || (four is >= 3528 and <= 3589 && digits.Length >= 16)           // JCB
            || (four is 6011 || two is 65 or 64) && digits.Length >= 16       // Discover
            || (two is 36 or 38 or 39 or 30 && digits.Length is 14 or 16);    // Diners Club
    }

    private static bool PassesLuhn(ReadOnlySpan<char> digits)
    {
        var sum = 0;
        for (var i = 0; i < digits.Length; i++)
        {
            var digit = digits[^(i + 1)] - '0';
            if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
            sum += digit;
        }

        return sum % 10 == 0;
    }

    private static char[] Digits(ReadOnlySpan<char> text)
    {
        var digits = new List<char>(text.Length);
        foreach (var c in text)
            if (char.IsAsciiDigit(c)) digits.Add(c);
        return [.. digits];
    }

    [GeneratedRegex("[0-9]+", RegexOptions.CultureInvariant)]
    private static partial Regex Group();

    [GeneratedRegex(@"[0-9](?:[\s._/\u00a0-]{0,2}[0-9]){12,}", RegexOptions.CultureInvariant)]
    private static partial Regex DigitRun();

    [GeneratedRegex(@"(?<keep>\b[sr]k_(?:test|live)_|\bwhsec_|(?i:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{6,}|(?<keep>\beyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", RegexOptions.CultureInvariant)]
    private static partial Regex Credential();
}
