using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Providers;

namespace Harbour.Charges;

/// <summary>What a change of a charge means in the books, in one place for all who change charges.</summary>
public sealed class ChargeLedger(ChargeStore store, LedgerBooks ledger, Ids ids)
{
    public Task<Row<Charge>?> FindAsync(Book book, Id<Charge> id) => store.FindAsync(book, id);

    /// <summary>
    /// Adds a charge's change to a commit: its row and index rows, the postings of what was captured, the fee on the captured total
    /// less the fee that is booked already, the mandate that the payment made, and the event of a new status. A fee above the captured part debits the merchant, and so
    /// takes the account's head.
    /// </summary>
    public async Task<Charge> WriteAsync(Commit commit, Book book, Row<Charge> row, Charge after, Merchant merchant)
    {
        var currency = after.Settlement.Currency;
        var captured = new Money(after.Captured - row.Value.Captured, currency);
        if (!captured.IsZero)
        {
            var total = merchant.Fees.FeeOf(new Money(after.Captured, currency));
            var fee = total - new Money(after.Settlement.Fee, currency);
            if (fee > captured) (await ledger.ReadAsync(book, Account.MerchantAvailable, currency)).Take(commit, captured - fee, after.Id.Value);
            commit.Post("charge", after.Id.Value, (Account.ProviderReceivable(after.Provider.Name), -captured), (Account.MerchantAvailable, captured));
            commit.Post("fee", after.Id.Value, (Account.MerchantAvailable, -fee), (Account.Fees, fee));
            after = after with { Settlement = after.Settlement with { Gross = after.Captured, Fee = total.Minor, Net = after.Captured - total.Minor } };
        }

        after = OpenMandate(commit, after);
        ChargeStore.Replace(commit, row, after);
        if (after.Event is { } type && after.Status != row.Value.Status) commit.Emit(type, ChargeView.Of(after));
        return after;
    }

    /// <summary>The payer's first payment, once it is authorised, is their authorisation for later ones.</summary>
    private Charge OpenMandate(Commit commit, Charge charge)
    {
        if (charge is not { SetupMandate: true, Mandate: null, Customer: { } customer, Stored: { } stored, Status: ChargeStatus.Succeeded or ChargeStatus.Authorized }) return charge;
        var mandate = new Mandate
        {
            Id = ids.New<Mandate>(),
            Customer = customer,
            Mode = charge.Mode,
            Status = MandateStatus.Active,
            Method = new MandateMethod(charge.Method.Type, charge.Method.Card),
            Provider = charge.Provider.Name,
            Stored = stored,
            CreatedBy = charge.Id.Value,
            RequestId = charge.RequestId,
            CreatedAt = charge.UpdatedAt,
            UpdatedAt = charge.UpdatedAt,
        };
        MandateOperations.Open(commit, mandate);
        return charge with { Mandate = mandate.Id };
    }

    /// <summary>Adds to a commit that more of a charge is refunded or being refunded, or less again when a refund failed.</summary>
    public static void Refund(Commit commit, Row<Charge> row, Money change, DateTimeOffset now) => ChargeStore.Replace(commit, row, row.Value.Refund(change, now));

    /// <summary>Books a payment that landed after it had been given up, and its reversal: in and out again, past the merchant.</summary>
    public static void PostReversal(Commit commit, Charge charge, ProviderPayment landed)
    {
        var receivable = Account.ProviderReceivable(charge.Provider.Name);
        commit.Post("adjustment", charge.Id.Value, (receivable, -landed.Captured), (Account.InTransitOut, landed.Captured));
        commit.Post("adjustment", charge.Id.Value, (Account.InTransitOut, -landed.Captured), (receivable, landed.Captured));
    }
}
