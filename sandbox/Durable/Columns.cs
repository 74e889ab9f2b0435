using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Azure.Data.Tables;

namespace Harbour.Sandbox.Durable;

/// <summary>How history and messages are written.</summary>
internal static class HistoryJson
{
    /// <summary>Payloads stand in it as text within text: the strict encoder would make six characters of every quote.</summary>
    public static readonly JsonSerializerOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };
}

/// <summary>The keys of the table: one partition per instance, and one for notices between hosts.</summary>
internal static class Keys
{
    public const string History = "h|";
    public const string Inbox = "in|";
    public const string Outbox = "out|";

    /// <summary>No instance has it: the escaping of ids leaves no exclamation mark.</summary>
    public const string Notices = "!notices";

    /// <summary>Ids are anybody's text; table keys take neither slashes nor controls.</summary>
    public static string Partition(string instanceId) => Uri.EscapeDataString(instanceId);

    public static string HistoryRow(string execution, int step, int part) => $"{History}{execution}|{step:D8}|{part:D2}";

    public static string OutboxOf(string execution, int step) => $"{Outbox}{execution}|{step:D8}";

    /// <summary>Sorts by time, and is the same when the same message is delivered again.</summary>
    public static string InboxRow(DateTimeOffset sent, string source) => $"{Inbox}{sent.UtcTicks:D19}|{source}";

    /// <summary>All keys that begin so lie below it.</summary>
    public static string After(string prefix) => prefix[..^1] + (char)(prefix[^1] + 1);
}

/// <summary>Text that may be longer than a column takes, over as many as it needs.</summary>
internal static class Columns
{
    /// <summary>A column holds 64 KiB, two bytes a character.</summary>
    private const int Column = 32_000;

    /// <summary>A row holds 1 MiB with all its names and numbers.</summary>
    public const int Row = 14 * Column;

    public static void Write(TableEntity entity, string name, string? text)
    {
        for (var (at, n) = (0, 0); at < text?.Length; at += Column, n++) entity[$"{name}{n}"] = text.Substring(at, Math.Min(Column, text.Length - at));
    }

    public static string? Read(TableEntity entity, string name)
    {
        if (entity.GetString(name + "0") is not { } first) return null;
        if (!entity.ContainsKey(name + "1")) return first;
        return string.Concat(Enumerable.Range(0, int.MaxValue).Select(n => entity.TryGetValue($"{name}{n}", out var part) ? (string)part : null).TakeWhile(part => part is not null));
    }

    /// <summary>The rows that hold a text of any length.</summary>
    public static IEnumerable<TableEntity> Rows(string partition, Func<int, string> key, string text)
    {
        for (var (at, part) = (0, 0); at < text.Length; at += Row, part++)
        {
            var entity = new TableEntity(partition, key(part));
            Write(entity, "Json", text.Substring(at, Math.Min(Row, text.Length - at)));
            yield return entity;
        }
    }

    /// <summary>The texts that such rows hold, in the order of their keys.</summary>
    public static IEnumerable<(string Key, string Text)> Join(IEnumerable<TableEntity> rows) =>
        rows.OrderBy(r => r.RowKey, StringComparer.Ordinal)
            .GroupBy(r => r.RowKey[..r.RowKey.LastIndexOf('|')])
            .Select(g => (g.Key, string.Concat(g.Select(r => Read(r, "Json")))));
}
