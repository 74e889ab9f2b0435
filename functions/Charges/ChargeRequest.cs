using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Charges;

/// <summary>What a caller asked for when making a charge, after every field was looked at.</summary>
public sealed record ChargeRequest(
    Money Amount, string MethodType, string Token, CaptureMethod CaptureMethod, Currency SettlementCurrency, ThreeDSecureRequest ThreeDSecure,
    string? Reference, string? Description, string? ReturnUrl, IReadOnlyDictionary<string, string> Metadata)
{
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

        var (type, token) = ReadMethod(fields, methods);
        var captureMethod = fields.OneOf("capture_method", ["automatic", "manual"], "automatic");
        var threeDSecure = fields.OneOf("three_d_secure", ["automatic", "always", "never"], "automatic");
        var settlement = fields.Currency("settlement_currency", currency is null ? Currencies : [currency]);
        var reference = fields.Text("reference", 128);
        var description = fields.Text("description", 500);
        var returnUrl = fields.HttpsUrl("return_url");
        var metadata = fields.Metadata();

        RefuseMissingObjects(fields);
        if (fields.Finish() is { } refusal) return refusal;
        return new ChargeRequest(
            new Money(amount!.Value, currency!), type!, token!, captureMethod is "manual" ? CaptureMethod.Manual : CaptureMethod.Automatic, settlement ?? currency!,
            threeDSecure switch { "always" => ThreeDSecureRequest.Always, "never" => ThreeDSecureRequest.Never, _ => ThreeDSecureRequest.Automatic },
            reference, description, returnUrl, metadata);
    }

    private static void RefuseOutside(Fields fields, long amount, Currency currency)
    {
        if (amount < Minimum[currency]) fields.Refuse(Errors.AmountTooSmall.At("amount", Minimum[currency], currency));
        if (amount > Maximum) fields.Refuse(Errors.AmountTooLarge.At("amount", Maximum, currency));
    }

    private static (string? Type, string? Token) ReadMethod(Fields fields, IReadOnlyCollection<string> methods)
    {
        if (fields.Object("payment_method", required: true) is not { } method) return (null, null);
        var type = method.Text("type", 40, required: true);
        if (type is not null && !methods.Contains(type)) fields.Refuse(Errors.PaymentMethodNotSupported.At("payment_method.type", string.Join(", ", methods)));
        var token = method.Text("token", 255, required: true);
        if (token is not null && !token.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
            fields.Refuse(Errors.FieldInvalid.At("payment_method.token", "a token of letters, digits, _ and -"));
        method.RefuseUnknown();
        return (type, token);
    }

    /// <summary>Names of objects that this merchant does not have are refused, never ignored.</summary>
    private static void RefuseMissingObjects(Fields fields)
    {
        if (fields.Text("customer", 64) is not null) fields.Refuse(Errors.CustomerNotFound with { Param = "customer" });
        if (fields.Text("mandate", 64) is not null) fields.Refuse(Errors.MandateNotFound with { Param = "mandate" });
        if (fields.Text("quote", 64) is not null) fields.Refuse(Errors.QuoteNotFound with { Param = "quote" });
        if (fields.Flag("setup_mandate")) fields.Refuse(Errors.FieldInvalid.At("setup_mandate", "false for this payment method"));
    }
}
