using Azure;
using Azure.Data.Tables;
using Harbour.Foundation;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Merchants;

/// <summary>The table <c>merchants</c>: one row per merchant, its own partition.</summary>
public sealed class MerchantStore(Storage storage)
{
    private const string Table = "merchants", Row = "merchant", Data = "data";
    private const int MaxTries = 5;

    /// <summary>The merchant of a partition that has been written to, and so has one.</summary>
    public async Task<Merchant> OfAsync(Book book, CancellationToken cancellation = default) =>
        await FindAsync(Id<Merchant>.Parse(book.Merchant), cancellation) ?? throw new InvalidDataException($"The merchant of {book.Partition} is gone.");

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

    /// <summary>Changes a merchant as it is now, whoever else changes it meanwhile; every worker sees it within a minute.</summary>
    /// <param name="change">May be applied to its own result: it says what shall be, not by how much.</param>
    /// <returns>The merchant as changed; null when there is none with this id.</returns>
    public async Task<Merchant?> ChangeAsync(Id<Merchant> id, Func<Merchant, Merchant> change, CancellationToken cancellation = default)
    {
        var table = await storage.TableAsync(Table);
        for (var attempt = 1; ; attempt++)
        {
            var row = await table.GetEntityIfExistsAsync<TableEntity>(id.Value, Row, cancellationToken: cancellation);
            if (!row.HasValue) return null;
            var changed = change(Json.Parse<Merchant>(row.Value!.GetString(Data)));
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

    private static TableEntity Entity(Merchant merchant) => new(merchant.Id.Value, Row) { [Data] = Json.Text(merchant) };
}

public static class MerchantsSetup
{
    public static IServiceCollection AddMerchants(this IServiceCollection services) => services.AddSingleton<MerchantStore>();
}
