using Stripe;

namespace Harbour.Providers.Stripe;

/// <summary>What Stripe keeps for charges without the payer: its customers, and payment methods stored through SetupIntents.</summary>
public sealed partial class StripeProvider
{
    public Task<ProviderOutcome> CreateCustomerAsync(ProviderNewCustomer customer, CancellationToken cancellation)
    {
        var options = new CustomerCreateOptions { Metadata = new() { [CustomerMetadata] = customer.Customer, [MerchantMetadata] = customer.Merchant } };
        return calls.SendAsync(new(StripeOperation.CreateCustomer, customer.Mode, customer.RequestId, customer.Customer), async (stripe, request, token) =>
            StripeMapping.Customer(await stripe.V1.Customers.CreateAsync(options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> SetUpAsync(ProviderSetup setup, CancellationToken cancellation)
    {
        var options = new SetupIntentCreateOptions
        {
            Customer = setup.Customer,
            Confirm = true,
            Usage = "off_session",
            AllowedPaymentMethodTypes = ["card"],
            ReturnUrl = setup.ReturnUrl,
            Metadata = new() { [MandateMetadata] = setup.Mandate, [MerchantMetadata] = setup.Merchant },
            Expand = ["payment_method"],
        };
        if (IsMethod(setup.Token)) options.PaymentMethod = setup.Token;
        else options.AddExtraParam("payment_method_data", OfToken(setup.Token));
        return calls.SendAsync(new(StripeOperation.SetUp, setup.Mode, setup.RequestId, setup.Mandate), async (stripe, request, token) =>
            StripeMapping.Setup(await stripe.V1.SetupIntents.CreateAsync(options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> FindSetupAsync(ProviderFindSetup find, CancellationToken cancellation)
    {
        var options = new SetupIntentGetOptions { Expand = ["payment_method"] };
        return calls.SendAsync(new(StripeOperation.FindSetup, find.Mode, find.RequestId, null), async (stripe, request, token) =>
            StripeMapping.Setup(await stripe.V1.SetupIntents.GetAsync(find.Reference, options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> DetachAsync(ProviderDetach detach, CancellationToken cancellation) =>
        calls.SendAsync(new(StripeOperation.Detach, detach.Mode, detach.RequestId, detach.Mandate + "-detach"), async (stripe, request, token) =>
        {
            await stripe.V1.PaymentMethods.DetachAsync(detach.Method, null, request, token);
            return new ProviderOutcome.Detached();
        }, cancellation);

    /// <summary>True for the id of a payment method; all else is a token, from which Stripe makes one.</summary>
    private static bool IsMethod(string token) => token.StartsWith("pm_", StringComparison.Ordinal);

    /// <summary>Stripe.net has no typed parameter for a card token; this is payment_method_data[card][token].</summary>
    private static Dictionary<string, object> OfToken(string token) => new()
    {
        ["type"] = "card",
        ["card"] = new Dictionary<string, object> { ["token"] = token },
    };
}
