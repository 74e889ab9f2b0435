using Azure;
using Azure.Data.Tables;
using Harbour.Foundation;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Merchants;

/// <summary>The table <c>merchants</c>: one row per merchant, its own partition.</summary>
public sealed class MerchantStore(Storage storage)
{
    private const string Table = "merchants", Row = "merchant", Data = "data";

    public async Task<Merchant?> FindAsync(Id<Merchant> id, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(id.Value, Row, [Data], cancellation);
        return row.HasValue ? Json.Parse<Merchant>(row.Value!.GetString(Data)) : null;
    }

    /// <summary>Adds a merchant unless one with its id is there already.</summary>
    public async Task AddAsync(Merchant merchant, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        try
        {
            await table.AddEntityAsync(Entity(merchant), cancellation);
        }
        catch (RequestFailedException e) when (e.Status == 409)
        {
            // It is there: from an earlier start, another worker, or our own first try whose answer was lost.
        }
    }

    /// <summary>Puts a merchant in the place of the one with its id; every worker sees the change within a minute.</summary>
    public async Task ReplaceAsync(Merchant merchant, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        await table.UpsertEntityAsync(Entity(merchant), TableUpdateMode.Replace, cancellation);
    }

    private static TableEntity Entity(Merchant merchant) => new(merchant.Id.Value, Row) { [Data] = Json.Text(merchant) };
}

public static class MerchantsSetup
{
    public static IServiceCollection AddMerchants(this IServiceCollection services) => services.AddSingleton<MerchantStore>();
}
