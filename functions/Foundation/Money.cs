using System.Globalization;

namespace Harbour.Foundation;

/// <summary>
/// An amount in the minor unit of one currency: 12800 HKD is HK$128.00. Arithmetic is checked and never crosses currencies;
/// nothing here is floating point. A part of an amount comes from <see cref="Allocate"/>, so that parts always sum to the whole.
/// </summary>
/// <param name="Minor">Minor units, negative for what is owed.</param>
/// <param name="Currency">The currency whose minor unit is meant.</param>
public readonly record struct Money(long Minor, Currency Currency) : IComparable<Money>
{
    public static Money Zero(Currency currency) => new(0, currency);

    [System.Text.Json.Serialization.JsonIgnore]
    public bool IsZero => Minor == 0;

    public static Money operator +(Money a, Money b) => a with { Minor = checked(a.Minor + Same(a, b).Minor) };
    public static Money operator -(Money a, Money b) => a with { Minor = checked(a.Minor - Same(a, b).Minor) };
    public static Money operator -(Money a) => a with { Minor = checked(-a.Minor) };
    public static bool operator >(Money a, Money b) => a.CompareTo(b) > 0;
    public static bool operator <(Money a, Money b) => a.CompareTo(b) < 0;
    public static bool operator >=(Money a, Money b) => a.CompareTo(b) >= 0;
    public static bool operator <=(Money a, Money b) => a.CompareTo(b) <= 0;

    /// <exception cref="InvalidOperationException">The currencies differ.</exception>
    public int CompareTo(Money other) => Minor.CompareTo(Same(this, other).Minor);

    /// <summary>A share of this amount, rounded half away from zero to a whole minor unit.</summary>
    /// <param name="rate">A fraction: 0.029 is 2.9 %.</param>
    public Money Share(decimal rate) => this with { Minor = decimal.ToInt64(decimal.Round(Minor * rate, 0, MidpointRounding.AwayFromZero)) };

    /// <summary>
    /// Divides the amount in proportion to the weights by the largest-remainder method: every part is the exact share rounded
    /// toward zero, and the units left over go to the largest remainders, ties to the earlier part. The parts sum to the amount.
    /// </summary>
    /// <param name="weights">At least one; none negative; not all zero.</param>
    /// <exception cref="ArgumentException">The weights do not say how to divide.</exception>
    public Money[] Allocate(params ReadOnlySpan<long> weights)
    {
        var total = Int128.Zero;
        foreach (var weight in weights)
            total += weight >= 0 ? weight : throw new ArgumentException("A weight is negative.", nameof(weights));
        if (total == 0) throw new ArgumentException("No weight is above zero.", nameof(weights));

        var parts = new Money[weights.Length];
        var remainders = new (Int128 Remainder, int Index)[weights.Length];
        var left = Minor;
        for (var i = 0; i < weights.Length; i++)
        {
            var product = (Int128)Minor * weights[i];
            parts[i] = this with { Minor = (long)(product / total) };
            remainders[i] = (Int128.Abs(product % total), i);
            left -= parts[i].Minor;
        }

        Array.Sort(remainders, static (a, b) => a.Remainder != b.Remainder ? b.Remainder.CompareTo(a.Remainder) : a.Index.CompareTo(b.Index));
        var unit = Math.Sign(left);
        for (var i = 0; left != 0; i++, left -= unit)
            parts[remainders[i].Index] = parts[remainders[i].Index] with { Minor = parts[remainders[i].Index].Minor + unit };
        return parts;
    }

    /// <summary>As a person writes it, in major units: <c>HKD 128.00</c>.</summary>
    public override string ToString()
    {
        var scale = 1m;
        for (var i = 0; i < Currency.Exponent; i++) scale *= 10m;
        return string.Create(CultureInfo.InvariantCulture, $"{Currency.Code} {(Minor / scale).ToString("F" + Currency.Exponent, CultureInfo.InvariantCulture)}");
    }

    private static Money Same(Money a, Money b) =>
        a.Currency == b.Currency ? b : throw new InvalidOperationException($"{a.Currency} and {b.Currency} do not mix.");
}
