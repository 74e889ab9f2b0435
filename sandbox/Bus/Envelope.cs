using System.Globalization;
using System.Runtime.Serialization;
using System.Text.Json;
using Azure.Data.Tables;
using Azure.Messaging.ServiceBus;

namespace Harbour.Sandbox.Bus;

/// <summary>A message as the sandbox's bus keeps it, in a queue or in a row.</summary>
/// <param name="Key">Its own and no other's, though two messages share a message id or a sequence number.</param>
/// <param name="Properties">The application properties: kind and text of each value by name.</param>
internal sealed record Envelope(
    string Key, long SequenceNumber, string MessageId, string? Subject, string? ContentType, string? CorrelationId,
    Dictionary<string, PropertyText> Properties, DateTimeOffset EnqueuedTime, DateTimeOffset ScheduledEnqueueTime, byte[] Body)
{
    /// <summary>What the message weighs against the bus's limit: body and properties, as the real one counts them, near enough.</summary>
    public static long SizeOf(ServiceBusMessage message) =>
        message.Body.ToMemory().Length + 64 + LengthOf(message.MessageId) + LengthOf(message.Subject) + LengthOf(message.ContentType) + LengthOf(message.CorrelationId)
        + message.ApplicationProperties.Sum(p => LengthOf(p.Key) + PropertyText.Of(p.Value).Text.Length + 8L);

    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this);

    public static Envelope Parse(ReadOnlySpan<byte> bytes) => JsonSerializer.Deserialize<Envelope>(bytes) ?? throw new JsonException("The envelope is null.");

    public ServiceBusReceivedMessage Receive(int deliveryCount, DateTimeOffset lockedUntil) => new()
    {
        Body = BinaryData.FromBytes(Body),
        MessageId = MessageId,
        Subject = Subject,
        ContentType = ContentType,
        CorrelationId = CorrelationId,
        ApplicationProperties = Properties.ToDictionary(p => p.Key, p => p.Value.Value()),
        DeliveryCount = deliveryCount,
        SequenceNumber = SequenceNumber,
        EnqueuedTime = EnqueuedTime,
        ScheduledEnqueueTime = ScheduledEnqueueTime,
        LockedUntil = lockedUntil,
        LockToken = Key,
    };

    /// <summary>The message with some application properties set anew.</summary>
    public Envelope With(IEnumerable<KeyValuePair<string, object>>? properties)
    {
        var changed = new Dictionary<string, PropertyText>(Properties);
        foreach (var (name, value) in properties ?? []) changed[name] = PropertyText.Of(value);
        return this with { Properties = changed };
    }

    private static int LengthOf(string? text) => text?.Length ?? 0;
}

/// <summary>The value of an application property: its type has to come back as it was, which plain JSON can't say.</summary>
internal readonly record struct PropertyText(string Kind, string Text)
{
    /// <exception cref="SerializationException">A message does not carry values of that type.</exception>
    public static PropertyText Of(object value) => value switch
    {
        string text => new("string", text),
        bool flag => new("bool", flag ? "true" : "false"),
        int number => new("int", number.ToString(CultureInfo.InvariantCulture)),
        long number => new("long", number.ToString(CultureInfo.InvariantCulture)),
        double number => new("double", number.ToString("R", CultureInfo.InvariantCulture)),
        decimal number => new("decimal", number.ToString(CultureInfo.InvariantCulture)),
        Guid guid => new("guid", guid.ToString()),
        DateTimeOffset moment => new("time", moment.ToString("O", CultureInfo.InvariantCulture)),
        _ => throw new SerializationException($"An application property can't be of type {value?.GetType().Name ?? "null"}."),
    };

    public object Value() => Kind switch
    {
        "string" => Text,
        "bool" => Text == "true",
        "int" => int.Parse(Text, CultureInfo.InvariantCulture),
        "long" => long.Parse(Text, CultureInfo.InvariantCulture),
        "double" => double.Parse(Text, CultureInfo.InvariantCulture),
        "decimal" => decimal.Parse(Text, CultureInfo.InvariantCulture),
        "guid" => Guid.Parse(Text),
        "time" => DateTimeOffset.ParseExact(Text, "O", CultureInfo.InvariantCulture),
        _ => throw new SerializationException($"An application property is of an unknown kind: {Kind}."),
    };
}

/// <summary>Bytes in a row: a column holds 64 KiB, a row a mebibyte, so the largest message takes six columns.</summary>
internal static class Columns
{
    private const int Width = 60_000;

    public static TableEntity Set(TableEntity row, byte[] bytes)
    {
        for (var i = 0; i * Width < bytes.Length; i++) row["d" + i] = bytes[(i * Width)..Math.Min(bytes.Length, (i + 1) * Width)];
        return row;
    }

    public static byte[] Get(TableEntity row)
    {
        var bytes = new List<byte>();
        for (var i = 0; row.GetBinary("d" + i) is { } column; i++) bytes.AddRange(column);
        return [.. bytes];
    }
}
