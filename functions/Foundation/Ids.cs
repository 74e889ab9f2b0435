using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harbour.Foundation;

/// <summary>A kind of object that has ids of its own, told apart by a prefix.</summary>
public interface IHasId
{
    /// <summary>The prefix with its underscore: <c>ch_</c>.</summary>
    static abstract string Prefix { get; }
}

/// <summary>The id of a <typeparamref name="T"/>: its prefix and 26 characters whose order is the order of making.</summary>
[JsonConverter(typeof(IdJson))]
public readonly record struct Id<T> : IComparable<Id<T>> where T : IHasId
{
    private readonly string? value;

    private Id(string value) => this.value = value;

    public string Value => value ?? throw new InvalidOperationException("An id was used before it was made.");

    /// <summary>The part after the prefix.</summary>
    public string Key => Value[T.Prefix.Length..];

    /// <summary>When the id was made, to the millisecond.</summary>
    public DateTimeOffset MadeAt => Sortable.TimeOf(Key);

    /// <summary>Takes text from outside; what is not an id of this kind is refused before anything is read from storage.</summary>
    public static bool TryParse(string? text, out Id<T> id)
    {
        id = default;
        if (text is null || !text.StartsWith(T.Prefix, StringComparison.Ordinal) || !Sortable.IsKey(text.AsSpan(T.Prefix.Length))) return false;
        id = new Id<T>(text);
        return true;
    }

    /// <exception cref="FormatException">The text is not an id of this kind.</exception>
    public static Id<T> Parse(string text) => TryParse(text, out var id) ? id : throw new FormatException($"Not an id that starts with {T.Prefix}.");

    internal static Id<T> FromKey(string key) => new(T.Prefix + key);

    public int CompareTo(Id<T> other) => string.CompareOrdinal(value, other.value);
    public override string ToString() => Value;
}

/// <summary>
/// Makes ids: 48 bits of milliseconds and 80 random bits in Crockford's base 32 (the layout of a ULID), in lower case. Within a
/// millisecond, and should the clock step back, the random part counts up, so ids of one process never repeat and always ascend.
/// Time and chance are injected here and nowhere else.
/// </summary>
public sealed class Ids(TimeProvider time, Action<Span<byte>>? fill = null)
{
    private readonly Action<Span<byte>> fill = fill ?? (static bytes => RandomNumberGenerator.Fill(bytes));
    private readonly Lock gate = new();
    private long lastMilliseconds;
    private UInt128 lastRandom;

    public Id<T> New<T>() where T : IHasId => Id<T>.FromKey(NewKey());

    /// <summary>The 26 characters of an id without a prefix.</summary>
    public string NewKey()
    {
        Span<byte> bytes = stackalloc byte[16];
        fill(bytes[6..]);
        lock (gate)
        {
            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            if (now > lastMilliseconds)
            {
                lastMilliseconds = now;
                // The top bit stays free, so that counting up within a millisecond never overflows.
                bytes[6] &= 0x7f;
                lastRandom = BinaryPrimitives.ReadUInt128BigEndian(bytes) & ((UInt128.One << 80) - 1);
            }
            else
            {
                lastRandom += 1 + (UInt128)bytes[15];
            }

            BinaryPrimitives.WriteUInt128BigEndian(bytes, ((UInt128)lastMilliseconds << 80) | lastRandom);
        }

        return Sortable.Encode(bytes);
    }

    /// <summary>Random bytes for secrets.</summary>
    public byte[] RandomBytes(int count)
    {
        var bytes = new byte[count];
        fill(bytes);
        return bytes;
    }
}

/// <summary>The alphabet of ids, and the inversion that lets a table which scans forward list the newest first.</summary>
public static class Sortable
{
    public const int KeyLength = 26;
    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

    public static bool IsKey(ReadOnlySpan<char> text)
    {
        if (text.Length != KeyLength || text[0] > '7') return false;
        foreach (var c in text)
            if (!Alphabet.Contains(c, StringComparison.Ordinal)) return false;
        return true;
    }

    /// <summary>Turns the order of keys round: what sorted last sorts first. Inverting twice gives the key again.</summary>
    public static string Invert(string key) => string.Create(key.Length, key, static (span, text) =>
    {
        for (var i = 0; i < span.Length; i++) span[i] = Alphabet[31 - Alphabet.IndexOf(text[i], StringComparison.Ordinal)];
    });

    /// <summary>The smallest key that could have been made at this moment; for reading a range of time.</summary>
    public static string FirstKeyAt(DateTimeOffset at)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, (UInt128)Math.Max(0, at.ToUnixTimeMilliseconds()) << 80);
        return Encode(bytes);
    }

    /// <summary>The moment in a key.</summary>
    public static DateTimeOffset TimeOf(string key)
    {
        var milliseconds = 0L;
        foreach (var c in key.AsSpan(0, 10)) milliseconds = milliseconds << 5 | (long)Alphabet.IndexOf(c, StringComparison.Ordinal);
        return DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
    }

    internal static string Encode(ReadOnlySpan<byte> bytes)
    {
        var value = BinaryPrimitives.ReadUInt128BigEndian(bytes);
        Span<char> text = stackalloc char[KeyLength];
        for (var i = KeyLength - 1; i >= 0; i--, value >>= 5) text[i] = Alphabet[(int)(value & 31)];
        return new string(text);
    }
}

internal sealed class IdJson : JsonConverterFactory
{
    public override bool CanConvert(Type typeToConvert) => typeToConvert.IsGenericType && typeToConvert.GetGenericTypeDefinition() == typeof(Id<>);

    [SuppressMessage("Performance", "CA1859", Justification = "The signature is the base class's.")]
    public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(Converter<>).MakeGenericType(typeToConvert.GetGenericArguments()))!;

    private sealed class Converter<T> : JsonConverter<Id<T>> where T : IHasId
    {
        public override Id<T> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Id<T>.Parse(reader.GetString()!);
        public override void Write(Utf8JsonWriter writer, Id<T> value, JsonSerializerOptions options) => writer.WriteStringValue(value.Value);
    }
}
