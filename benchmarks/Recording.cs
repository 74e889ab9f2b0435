using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Azure;
using Azure.Core;
using Azure.Data.Tables;

namespace Harbour.Benchmarks;

/// <summary>
/// What one charge stored and sent. The floor repeats it, so it stays the floor of what Harbour does now, and no list of row
/// kinds and sizes has to be kept up by hand.
/// </summary>
public sealed class Recording
{
    public List<RecordedTransaction> Transactions { get; } = [];
    public List<RecordedCall> ProviderCalls { get; } = [];
}

/// <param name="Row">The row as it was sent; a deleted one has its keys alone.</param>
/// <param name="Conditional">True when the write named the tag of an earlier one.</param>
public sealed record RecordedAction(TableTransactionActionType Kind, TableEntity Row, bool Conditional);

/// <summary>A transaction of the table service, read from the multipart body in which it is sent.</summary>
/// <param name="Bytes">Of the body.</param>
public sealed record RecordedTransaction(IReadOnlyList<RecordedAction> Actions, int Bytes)
{
    public static async Task<RecordedTransaction> ReadAsync(RequestContent content)
    {
        using var buffer = new MemoryStream();
        await content.WriteToAsync(buffer, CancellationToken.None);
        var parts = Encoding.UTF8.GetString(buffer.ToArray()).Split("--changeset_").Where(part => part.Contains("application/http", StringComparison.Ordinal));
        return new RecordedTransaction([.. parts.Select(Action)], (int)buffer.Length);
    }

    /// <summary>One part: the headers of the part, an empty line, then a whole HTTP request.</summary>
    private static RecordedAction Action(string part)
    {
        var request = part[(part.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..];
        var end = request.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        var (head, body) = (request[..end], request[(end + 4)..].Trim());
        var kind = head[..head.IndexOf(' ', StringComparison.Ordinal)] switch
        {
            "POST" => TableTransactionActionType.Add,
            "PUT" => TableTransactionActionType.UpdateReplace,
            "DELETE" => TableTransactionActionType.Delete,
            var other => throw new InvalidOperationException($"The floor does not know how to repeat a {other}."),
        };
        var conditional = head.Contains("If-Match: W/", StringComparison.OrdinalIgnoreCase);
        return new RecordedAction(kind, kind is TableTransactionActionType.Delete ? Keys(head) : Row(body), conditional);
    }

    private static TableEntity Row(string body)
    {
        using var json = JsonDocument.Parse(body);
        var row = new TableEntity();
        foreach (var property in json.RootElement.EnumerateObject().Where(p => !p.Name.EndsWith("@odata.type", StringComparison.Ordinal)))
            row[property.Name] = json.RootElement.TryGetProperty(property.Name + "@odata.type", out var type) && type.GetString() == "Edm.Int64"
                ? long.Parse(property.Value.GetString()!, CultureInfo.InvariantCulture)
                : property.Value.GetString();
        return row;
    }

    /// <summary>The keys in an address such as <c>books(PartitionKey='a',RowKey='b')</c>.</summary>
    private static TableEntity Keys(string head)
    {
        const string Name = "RowKey='";
        var from = head.IndexOf(Name, StringComparison.Ordinal) + Name.Length;
        return new TableEntity("", Uri.UnescapeDataString(head[from..head.IndexOf("')", from, StringComparison.Ordinal)]));
    }
}

/// <summary>A form that was posted to the provider.</summary>
public sealed record RecordedCall(Uri Address, AuthenticationHeaderValue? Authorization, string Form)
{
    public static async Task<RecordedCall> ReadAsync(HttpRequestMessage request, CancellationToken cancellation) =>
        new(request.RequestUri!, request.Headers.Authorization, await request.Content!.ReadAsStringAsync(cancellation));
}
