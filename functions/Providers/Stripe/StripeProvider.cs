using System.Diagnostics.Metrics;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Stripe;

namespace Harbour.Providers.Stripe;

/// <summary>
/// Takes card payments through Stripe. Every call goes through <see cref="StripeCalls"/>, which gives it one deadline, retries where
/// the idempotency key makes them safe, and a circuit breaker; this class says only what is asked and what the answer means.
/// </summary>
public sealed partial class StripeProvider : IProvider, IDisposable
{
    /// <summary>Metadata keys by which an object at Stripe is known to be ours.</summary>
    public const string ChargeMetadata = "harbour_charge", MerchantMetadata = "harbour_merchant", RefundMetadata = "harbour_refund",
        CustomerMetadata = "harbour_customer", MandateMetadata = "harbour_mandate";

    private const int PageSize = 100;
    private const int MaxPages = 200;

    // The clocks of two companies differ, and a request may wait at either end: the window is wide, and the near part of it,
    // where nearly every payment is, is looked through first.
    private static (TimeSpan Before, TimeSpan After)[] Windows(ProviderFind find) =>
    [
        (TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30)),
        (TimeSpan.FromMinutes(5), find.Until - find.SentAt),
    ];

    private readonly StripeCalls calls;

    /// <param name="key">The secret key of a mode, as it is now.</param>
    /// <param name="time">Measures how long an open circuit stays open; deadlines use the monotonic clock.</param>
    /// <param name="wire">Wraps the connection, if something must see or disturb what passes over it.</param>
    public StripeProvider(
        IConfiguration configuration, StripeKey key, TimeProvider time, ILogger<StripeProvider> logger, IMeterFactory meters, StripeWire? wire = null) =>
        calls = new StripeCalls(configuration, key, time, logger, meters, wire);

    public string Name => "stripe";

    public Task<ProviderOutcome> CreateAsync(ProviderCharge charge, CancellationToken cancellation)
    {
        if (!StripeMapping.TryToStripe(charge.Amount, out var amount)) return NotRepresentable();
        var options = new PaymentIntentCreateOptions
        {
            Amount = amount,
            Currency = charge.Amount.Currency.Code.ToLowerInvariant(),
            Confirm = true,
            CaptureMethod = charge.CaptureNow ? "automatic" : "manual",
            // Cards alone: nothing that would need a redirect, so that a return address may be missing.
            AllowedPaymentMethodTypes = ["card"],
            ReturnUrl = charge.ReturnUrl,
            Description = charge.Description,
            Metadata = new() { [ChargeMetadata] = charge.Charge, [MerchantMetadata] = charge.Merchant },
            Expand = ["latest_charge"],
        };
        // Stripe decides by itself where it is not asked; there is no way to ask for less 3DS than that.
        var always3ds = charge.ThreeDSecure is ThreeDSecureRequest.Always;
        // Only where there is something to say: Stripe.net looks at each of the many options by reflection, at every call.
        if (always3ds || !charge.CaptureNow)
            options.PaymentMethodOptions = new()
            {
                Card = new() { RequestMulticapture = charge.CaptureNow ? null : "if_available", RequestThreeDSecure = always3ds ? "any" : null },
            };
        if (charge.Stored is { } stored)
        {
            // The payer is not there: a challenge is a decline, and the payer's bank is told that the credential was stored.
            (options.Customer, options.PaymentMethod, options.OffSession) = (stored.Customer, stored.Method, true);
        }
        else
        {
            if (charge.StoreFor is { } customer) (options.Customer, options.SetupFutureUsage) = (customer, "off_session");
            if (IsMethod(charge.Token)) options.PaymentMethod = charge.Token;
            else options.AddExtraParam("payment_method_data", OfToken(charge.Token));
        }

        return calls.SendAsync(new(StripeOperation.Create, charge.Mode, charge.RequestId, charge.Charge), async (stripe, request, token) =>
            StripeMapping.Payment(await stripe.V1.PaymentIntents.CreateAsync(options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> CaptureAsync(ProviderCapture capture, CancellationToken cancellation)
    {
        if (!StripeMapping.TryToStripe(capture.Amount, out var amount)) return NotRepresentable();
        var options = new PaymentIntentCaptureOptions
        {
            AmountToCapture = amount,
            // Said only when it is false, because Stripe refuses the parameter where a card can be captured but once.
            FinalCapture = capture.Final ? null : false,
            Expand = ["latest_charge"],
        };
        return calls.SendAsync(new(StripeOperation.Capture, capture.Mode, capture.RequestId, capture.Key), async (stripe, request, token) =>
            StripeMapping.Payment(await stripe.V1.PaymentIntents.CaptureAsync(capture.Reference, options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> CancelAsync(ProviderCancel cancel, CancellationToken cancellation)
    {
        var options = new PaymentIntentCancelOptions { Expand = ["latest_charge"] };
        return calls.SendAsync(new(StripeOperation.Cancel, cancel.Mode, cancel.RequestId, cancel.Key), async (stripe, request, token) =>
            StripeMapping.Payment(await stripe.V1.PaymentIntents.CancelAsync(cancel.Reference, options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> RefundAsync(ProviderRefund refund, CancellationToken cancellation)
    {
        if (!StripeMapping.TryToStripe(refund.Amount, out var amount)) return NotRepresentable();
        var options = new RefundCreateOptions
        {
            PaymentIntent = refund.Reference,
            Amount = amount,
            Reason = refund.Reason,
            Metadata = new() { [RefundMetadata] = refund.Refund },
        };
        return calls.SendAsync(new(StripeOperation.Refund, refund.Mode, refund.RequestId, refund.Refund), async (stripe, request, token) =>
            StripeMapping.Refund(await stripe.V1.Refunds.CreateAsync(options, request, token)), cancellation);
    }

    public Task<ProviderOutcome> FindAsync(ProviderFind find, CancellationToken cancellation) =>
        calls.SendAsync(new(StripeOperation.Find, find.Mode, find.RequestId, null), async (stripe, request, token) =>
        {
            var reference = find.Reference;
            foreach (var window in Windows(find))
            {
                if (reference is not null) break;
                (reference, var complete) = await SearchAsync(stripe, request, find, window, token);
                // Absence is told only by a list that was read to its end.
                if (reference is null && !complete) return new ProviderOutcome.Unknown($"more than {MaxPages * PageSize} payments around the time");
            }

            if (reference is null) return new ProviderOutcome.Absent();
            var options = new PaymentIntentGetOptions { Expand = ["latest_charge"] };
            return StripeMapping.Payment(await stripe.V1.PaymentIntents.GetAsync(reference, options, request, token));
        }, cancellation);

    public Task<ProviderOutcome> FindRefundAsync(ProviderFindRefund find, CancellationToken cancellation) =>
        calls.SendAsync(new(StripeOperation.FindRefund, find.Mode, find.RequestId, null), async (stripe, request, token) =>
        {
            var options = new RefundListOptions { PaymentIntent = find.Reference, Limit = PageSize };
            for (var i = 0; i < MaxPages; i++)
            {
                var page = await stripe.V1.Refunds.ListAsync(options, request, token);
                if (page.Data.Find(refund => Names(refund.Metadata, RefundMetadata, find.Refund)) is { } match) return StripeMapping.Refund(match);
                if (!page.HasMore) return new ProviderOutcome.Absent();
                options.StartingAfter = page.Data[^1].Id;
            }

            return new ProviderOutcome.Unknown($"more than {MaxPages * PageSize} refunds of the payment");
        }, cancellation);

    public void Dispose() => calls.Dispose();

    /// <summary>Looks for our id among the payments made around the time of sending: Stripe's search lags, its lists do not.</summary>
    private static async Task<(string? Reference, bool Complete)> SearchAsync(
        StripeClient stripe, RequestOptions request, ProviderFind find, (TimeSpan Before, TimeSpan After) window, CancellationToken cancellation)
    {
        var options = new PaymentIntentListOptions
        {
            Created = new DateRangeOptions
            {
                GreaterThanOrEqual = (find.SentAt - window.Before).UtcDateTime,
                LessThanOrEqual = (find.SentAt + window.After).UtcDateTime,
            },
            Limit = PageSize,
        };
        for (var i = 0; i < MaxPages; i++)
        {
            var page = await stripe.V1.PaymentIntents.ListAsync(options, request, cancellation);
            if (page.Data.Find(intent => Names(intent.Metadata, ChargeMetadata, find.Charge)) is { } match) return (match.Id, true);
            if (!page.HasMore) return (null, true);
            options.StartingAfter = page.Data[^1].Id;
        }

        return (null, false);
    }

    private static bool Names(Dictionary<string, string>? metadata, string key, string id) =>
        metadata is not null && metadata.TryGetValue(key, out var value) && value == id;

    /// <summary>Nothing was sent, and never will be: Stripe has no way to say this amount.</summary>
    private static Task<ProviderOutcome> NotRepresentable() =>
        Task.FromResult<ProviderOutcome>(new ProviderOutcome.Refused("provider_refused", "amount_not_representable", null));
}
