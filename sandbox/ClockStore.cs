using Azure.Data.Tables;

namespace Harbour.Sandbox;

/// <summary>
/// Keeps the clock's position in the storage that it rules over, so that both are kept, lost or shared together: a host
/// that is killed in the middle of an advance wakes at the moment that its data knows.
/// </summary>
internal sealed class ClockStore(TableClient table)
{
    private const string Partition = "clock";
    private const string Row = "position";

    public async Task<ClockPosition> ReadAsync(CancellationToken cancellation)
    {
        var row = await table.GetEntityIfExistsAsync<TableEntity>(Partition, Row, cancellationToken: cancellation);
        return row.HasValue ? new(row.Value!.GetInt64("Offset")!.Value, row.Value.GetInt64("Floor")!.Value) : default;
    }

    public Task WriteAsync(ClockPosition position, CancellationToken cancellation) =>
        table.UpsertEntityAsync(
            new TableEntity(Partition, Row) { ["Offset"] = position.Offset, ["Floor"] = position.Floor }, TableUpdateMode.Replace, cancellation);
}
