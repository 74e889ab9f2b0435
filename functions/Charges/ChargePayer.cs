using Harbour.Customers;
using Harbour.Foundation;

namespace Harbour.Charges;

/// <summary>A payment on a mandate that no caller asked for: a renewal.</summary>
/// <param name="Mandate">Read anew before it is used; it must then be active.</param>
public sealed record MandateCharge(Money Amount, Mandate Mandate, string? Reference, string? Description, IReadOnlyDictionary<string, string> Metadata);

/// <summary>Who pays, as far as the request names what is stored: a customer, a mandate, or neither.</summary>
public sealed record ChargePayer(Row<Customer>? Customer, Row<Mandate>? Mandate)
{
    /// <summary>The refusal of a charge that names them; null when they can be charged so.</summary>
    public Error? Refusal(ChargeRequest request)
    {
        if (request.Customer is not null && Customer is null) return Errors.CustomerNotFound with { Param = "customer" };
        if (request.Mandate is null) return null;
        if (Mandate is not { Value: var mandate }) return Errors.MandateNotFound with { Param = "mandate" };
        if (request.Customer is { } customer && customer != mandate.Customer) return Errors.MandateOfOtherCustomer.At("customer");
        if (request.MethodType is { } type && type != mandate.Method.Type) return Errors.FieldInvalid.At("payment_method.type", mandate.Method.Type);
        return mandate.Refusal();
    }
}
