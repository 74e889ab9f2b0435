using Azure;
using Azure.Data.Tables;

namespace Harbour.Sandbox;

/// <summary>
/// Configuration that belongs to the storage rather than to a host: secrets that are made once, and the addresses under
/// which the first host is reached. A second host on the same storage reads them all, so that a token that one issues is
/// good at the other.
/// </summary>
internal sealed class SharedSettings(TableClient table)
{
    private const string Partition = "settings";
    private const string Column = "Value";

    /// <summary>The value kept under that name; made and kept first if there is none. Of two hosts that make one at once, both get the same.</summary>
    public async Task<string> KeepAsync(string name, Func<string> make, CancellationToken cancellation)
    {
        if (await ReadAsync(name, cancellation) is { } kept) return kept;
        try
        {
            var made = make();
            await table.AddEntityAsync(new TableEntity(Partition, name) { [Column] = made }, cancellation);
            return made;
        }
        catch (RequestFailedException e) when (e.Status == 409)
        {
            return (await ReadAsync(name, cancellation))!;
        }
    }

    public async Task PublishAsync(IReadOnlyDictionary<string, string?> settings, CancellationToken cancellation)
    {
        foreach (var (name, value) in settings)
            await table.UpsertEntityAsync(new TableEntity(Partition, name) { [Column] = value }, TableUpdateMode.Replace, cancellation);
    }

    public async Task<Dictionary<string, string?>> ReadAllAsync(CancellationToken cancellation)
    {
        var settings = new Dictionary<string, string?>();
        await foreach (var row in table.QueryAsync<TableEntity>(r => r.PartitionKey == Partition, cancellationToken: cancellation))
            settings[row.RowKey] = row.GetString(Column);
        return settings;
    }

    private async Task<string?> ReadAsync(string name, CancellationToken cancellation)
    {
        var row = await table.GetEntityIfExistsAsync<TableEntity>(Partition, name, cancellationToken: cancellation);
        return row.HasValue ? row.Value!.GetString(Column) : null;
    }
}
