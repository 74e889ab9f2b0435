using Azure;
using Azure.Data.Tables;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// How a host without an engine tells the one that has it where to look. A notice is announced before the message is written
/// and confirmed after it, so that a host that dies in between has still said enough.
/// </summary>
internal sealed class Notices(string connectionString)
{
    /// <summary>An announced message that is not confirmed by then will not be.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TableClient _table = new(connectionString, "durable");

    /// <summary>Writes a message and leaves the notice of it.</summary>
    public async Task AroundAsync(string instanceId, Func<Task> write, CancellationToken cancellation)
    {
        var notice = new TableEntity(Keys.Notices, Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N")) { ["InstanceId"] = instanceId, ["Written"] = false };
        await _table.AddEntityAsync(notice, cancellation);
        await write();
        notice["Written"] = true;
        await _table.UpsertEntityAsync(notice, TableUpdateMode.Replace, cancellation);
    }

    /// <summary>Tells which instances to look at, then forgets the notices: an engine that dies in between looks at all when it starts.</summary>
    public async Task TakeAsync(Action<string> look, CancellationToken cancellation)
    {
        await foreach (var notice in _table.QueryAsync<TableEntity>(r => r.PartitionKey == Keys.Notices, cancellationToken: cancellation))
        {
            if (notice.GetBoolean("Written") != true && TimeProvider.System.GetUtcNow() - notice.Timestamp < Patience) continue;
            look(notice.GetString("InstanceId"));
            try
            {
                await _table.DeleteEntityAsync(notice.PartitionKey, notice.RowKey, notice.ETag, cancellation);
            }
            catch (RequestFailedException e) when (e.Status is 404 or 412)
            {
                // Confirmed in between: it is taken the next time.
            }
        }
    }
}
