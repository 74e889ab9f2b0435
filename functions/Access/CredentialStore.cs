using Azure;
using Azure.Data.Tables;
using Harbour.Foundation;
using Harbour.Merchants;

namespace Harbour.Access;

/// <summary>
/// The table <c>access</c>. A credential is one row in its merchant's partition; a second row, under its handle, says where that
/// is and never changes. So everything that can change is in one place, and a revocation is one write.
/// </summary>
public sealed class CredentialStore(Storage storage)
{
    private const string Table = "access", Data = "data", Pointer = "at", Owner = "merchant", Key = "credential";
    private const int MaxTries = 5;

    /// <summary>Finds by handle: two reads.</summary>
    public async Task<Credential?> FindAsync(string handle, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        var pointer = await table.GetEntityIfExistsAsync<TableEntity>(handle, Pointer, [Owner, Key], cancellation);
        if (!pointer.HasValue) return null;
        var row = await table.GetEntityIfExistsAsync<TableEntity>(pointer.Value!.GetString(Owner), pointer.Value.GetString(Key), [Data], cancellation);
        return row.HasValue ? Json.Parse<Credential>(row.Value!.GetString(Data)) : null;
    }

    /// <summary>
    /// Adds a credential unless it is there already. The pointer comes last: while it is missing the credential cannot be used, and
    /// adding again completes it.
    /// </summary>
    public async Task AddAsync(Credential credential, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        await AddRowAsync(table, Entity(credential), cancellation);
        await AddRowAsync(table, new TableEntity(credential.Handle, Pointer) { [Owner] = credential.Merchant.Value, [Key] = credential.Id.Value }, cancellation);
    }

    /// <summary>Changes a credential as it is now, whoever else changes it meanwhile; every worker sees it within a minute.</summary>
    /// <returns>The credential as changed; null when there is none with this id.</returns>
    public async Task<Credential?> ChangeAsync(Id<Merchant> merchant, Id<Credential> id, Func<Credential, Credential> change, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        for (var attempt = 1; ; attempt++)
        {
            var row = await table.GetEntityIfExistsAsync<TableEntity>(merchant.Value, id.Value, cancellationToken: cancellation);
            if (!row.HasValue) return null;
            var changed = change(Json.Parse<Credential>(row.Value!.GetString(Data)));
            try
            {
                await table.UpdateEntityAsync(Entity(changed), row.Value.ETag, TableUpdateMode.Replace, cancellation);
                return changed;
            }
            catch (RequestFailedException e) when (e.Status == 412 && attempt < MaxTries)
            {
                // Another change came between; the next try starts from what it left.
            }
        }
    }

    private static async Task AddRowAsync(TableClient table, TableEntity row, CancellationToken cancellation)
    {
        try
        {
            await table.AddEntityAsync(row, cancellation);
        }
        catch (RequestFailedException e) when (e.Status == 409)
        {
            // It is there: from an earlier start, another worker, or our own first try whose answer was lost.
        }
    }

    private static TableEntity Entity(Credential credential) => new(credential.Merchant.Value, credential.Id.Value) { [Data] = Json.Text(credential) };
}
