using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Charges;

/// <summary>What a caller asked for when making a charge, after every field was looked at.</summary>
/// <param name="MethodType">Null where <see cref="Mandate"/> alone says it.</param>
/// <param name="Token">The provider's token of the payment method; null when a mandate is charged.</param>
public sealed record ChargeRequest(
    Money Amount, string? MethodType, string? Token, CaptureMethod CaptureMethod, Currency SettlementCurrency, ThreeDSecureRequest ThreeDSecure,
    string? Reference, string? Description, string? ReturnUrl, IReadOnlyDictionary<string, string> Metadata)
{
    public Id<Customer>? Customer { get; init; }

    /// <summary>The stored authorisation that is charged, without the payer being there.</summary>
    public Id<Mandate>? Mandate { get; init; }

    /// <summary>True to store the payment method for the customer's later charges.</summary>
    public bool SetupMandate { get; init; }

    /// <summary>The currencies that a payer can be charged in.</summary>
    public static readonly IReadOnlyList<Currency> Currencies = [Currency.HKD, Currency.USD, Currency.CNY];

    /// <summary>
    /// The smallest charge in minor units. HKD 4.00 and USD 0.50 are what Stripe publishes as its minimum; CNY 4.00 is the same worth.
    /// </summary>
    private static readonly Dictionary<Currency, long> Minimum = new() { [Currency.HKD] = 400, [Currency.USD] = 50, [Currency.CNY] = 400 };

    /// <summary>The largest charge in minor units: eight digits, Stripe's limit.</summary>
    private const long Maximum = 99_999_999;

    public static Result<ChargeRequest> Read(ReadOnlyMemory<byte> body, IReadOnlyCollection<string> methods)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;

        var currency = fields.Currency("currency", Currencies, required: true);
        var amount = fields.Amount("amount", required: true);
        if (amount is { } minor && currency is not null) RefuseOutside(fields, minor, currency);

        var mandate = fields.Id<Mandate>("mandate", Errors.MandateNotFound);
        var (type, token) = mandate is null ? MethodField.Read(fields, methods) : (MethodField.ReadBesideMandate(fields, methods), null);
        var captureMethod = fields.OneOf("capture_method", ["automatic", "manual"], "automatic");
        var threeDSecure = fields.OneOf("three_d_secure", ["automatic", "always", "never"], "automatic");
        var settlement = fields.Currency("settlement_currency", currency is null ? Currencies : [currency]);
        var reference = fields.Text("reference", 128);
        var description = fields.Text("description", 500);
        var returnUrl = fields.HttpsUrl("return_url");
        var metadata = fields.Metadata();

        var customer = fields.Id<Customer>("customer", Errors.CustomerNotFound);
        var setup = fields.Flag("setup_mandate");
        if (mandate is not null) RefuseBesideMandate(fields, setup, threeDSecure, returnUrl);
        else if (setup) RefuseSetup(fields, customer, type);
        // There are no quotes yet; one that is named is refused, never ignored.
        if (fields.Text("quote", 64) is not null) fields.Refuse(Errors.QuoteNotFound with { Param = "quote" });
        if (fields.Finish() is { } refusal) return refusal;
        return new ChargeRequest(
            new Money(amount!.Value, currency!), type, token, captureMethod is "manual" ? CaptureMethod.Manual : CaptureMethod.Automatic, settlement ?? currency!,
            threeDSecure switch { "always" => ThreeDSecureRequest.Always, "never" => ThreeDSecureRequest.Never, _ => ThreeDSecureRequest.Automatic },
            reference, description, returnUrl, metadata)
        {
            Customer = customer,
            Mandate = mandate,
            SetupMandate = setup,
        };
    }

    /// <summary>A renewal, as the request that it would be.</summary>
    public static ChargeRequest Of(MandateCharge order) => new(
        order.Amount, null, null, CaptureMethod.Automatic, order.Amount.Currency, ThreeDSecureRequest.Automatic, order.Reference, order.Description, null, order.Metadata)
    {
        Mandate = order.Mandate.Id,
    };

    /// <summary>Refuses an amount that no payment can have.</summary>
    internal static void RefuseOutside(Fields fields, long amount, Currency currency)
    {
        if (amount < Minimum[currency]) fields.Refuse(Errors.AmountTooSmall.At("amount", Minimum[currency], currency));
        if (amount > Maximum) fields.Refuse(Errors.AmountTooLarge.At("amount", Maximum, currency));
    }

    /// <summary>On a mandate the payer is not there: nobody can be challenged, or come back from anywhere, or authorise once more.</summary>
    private static void RefuseBesideMandate(Fields fields, bool setup, string? threeDSecure, string? returnUrl)
    {
        if (setup) fields.Refuse(Errors.FieldInvalid.At("setup_mandate", "false where mandate is given"));
        if (threeDSecure is not "automatic") fields.Refuse(Errors.FieldInvalid.At("three_d_secure", "left out where mandate is given"));
        if (returnUrl is not null) fields.Refuse(Errors.FieldInvalid.At("return_url", "left out where mandate is given"));
    }

    private static void RefuseSetup(Fields fields, Id<Customer>? customer, string? type)
    {
        if (customer is null) fields.Refuse(Errors.FieldRequired.At("customer"));
        if (type is not null && !Router.Stored.Contains(type)) fields.Refuse(Errors.FieldInvalid.At("setup_mandate", "false for this payment method"));
    }
}
