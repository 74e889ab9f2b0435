using System.Net;
using CsCheck;
using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Providers.Stripe;
using Stripe;

namespace Harbour.Tests.Providers;

public sealed class StripeMappingTests
{
    [Theory]
    [InlineData("HKD", 12800, 12800)]
    [InlineData("USD", 1, 1)]
    [InlineData("JPY", 500, 500)]
    [InlineData("KRW", 500, 500)]
    [InlineData("MGA", 50000, 500)] // ISO 4217 counts two places, Stripe none.
    [InlineData("ISK", 5, 500)] // ISO 4217 counts none, Stripe two zeros.
    [InlineData("UGX", 5, 500)]
    [InlineData("KWD", 5120, 5120)]
    [InlineData("HUF", 1045, 1045)]
    public void An_amount_is_said_in_Stripes_units_and_read_back(string currency, long ours, long stripes)
    {
        var money = new Money(ours, Currency.Parse(currency));
        Assert.True(StripeMapping.TryToStripe(money, out var amount));
        Assert.Equal(stripes, amount);
        Assert.True(StripeMapping.TryFromStripe(amount, currency.ToLowerInvariant(), out var back));
        Assert.Equal(money, back);
    }

    [Theory]
    [InlineData("MGA", 50001)] // A hundredth of an ariary.
    [InlineData("KWD", 5124)] // Stripe wants the last of three places to be zero.
    [InlineData("ISK", long.MaxValue)]
    [InlineData("CLF", 10000)] // Stripe has no currencies of four places.
    [InlineData("IQD", 1000)]
    public void An_amount_that_Stripe_cannot_say_is_not_rounded_but_refused(string currency, long ours) =>
        Assert.False(StripeMapping.TryToStripe(new Money(ours, Currency.Parse(currency)), out _));

    [Theory]
    [InlineData("xyz")]
    [InlineData("")]
    [InlineData(null)]
    public void A_currency_we_do_not_know_is_not_read(string? currency) => Assert.False(StripeMapping.TryFromStripe(100, currency, out _));

    [Fact]
    public void Every_amount_that_can_be_said_is_read_back_the_same() =>
        Gen.Select(Gen.Long[-1_000_000_000_000, 1_000_000_000_000], Gen.OneOf([.. Currency.All.Select(Gen.Const)])).Sample((minor, currency) =>
        {
            var money = new Money(minor, currency);
            return !StripeMapping.TryToStripe(money, out var amount)
                || (StripeMapping.TryFromStripe(amount, currency.Code.ToLowerInvariant(), out var back) && back == money);
        });

    [Theory]
    [InlineData("succeeded", ProviderStatus.Succeeded)]
    [InlineData("requires_capture", ProviderStatus.Authorized)]
    [InlineData("processing", ProviderStatus.Processing)]
    [InlineData("requires_action", ProviderStatus.RequiresAction)]
    [InlineData("canceled", ProviderStatus.Canceled)]
    public void A_state_of_a_payment_has_one_meaning(string status, ProviderStatus expected) =>
        Assert.Equal(expected, Assert.IsType<ProviderOutcome.Known>(StripeMapping.Payment(Intent(status))).Payment.Status);

    [Theory]
    [InlineData("requires_confirmation")]
    [InlineData("requires_payment_method")]
    [InlineData("something_new")]
    [InlineData(null)]
    public void A_state_that_decides_nothing_is_unknown(string? status) => Assert.IsType<ProviderOutcome.Unknown>(StripeMapping.Payment(Intent(status)));

    [Fact]
    public void No_payment_at_all_is_unknown() => Assert.IsType<ProviderOutcome.Unknown>(StripeMapping.Payment(null));

    [Fact]
    public void A_payment_whose_card_was_refused_has_failed_for_that_reason()
    {
        var intent = Intent("requires_payment_method");
        intent.LastPaymentError = new StripeError { Code = "card_declined", DeclineCode = "do_not_honor" };
        var payment = Assert.IsType<ProviderOutcome.Known>(StripeMapping.Payment(intent)).Payment;
        Assert.Equal((ProviderStatus.Failed, "card_declined", "do_not_honor"), (payment.Status, payment.FailureCode, payment.DeclineCode));
    }

    [Theory]
    [InlineData("processing", ProviderSetupStatus.Processing)]
    [InlineData("requires_action", ProviderSetupStatus.RequiresAction)]
    [InlineData("canceled", ProviderSetupStatus.Failed)]
    public void A_state_of_a_setup_has_one_meaning(string status, ProviderSetupStatus expected) =>
        Assert.Equal(expected, Assert.IsType<ProviderOutcome.KnownSetup>(StripeMapping.Setup(new SetupIntent { Id = "seti_1", Status = status })).Setup.Status);

    [Theory]
    [InlineData("succeeded")] // Without the payment method that it stored.
    [InlineData("requires_payment_method")]
    [InlineData("requires_confirmation")]
    [InlineData("something_new")]
    [InlineData(null)]
    public void A_setup_that_decides_nothing_is_unknown(string? status) =>
        Assert.IsType<ProviderOutcome.Unknown>(StripeMapping.Setup(new SetupIntent { Id = "seti_1", Status = status }));

    [Theory]
    [InlineData("succeeded", ProviderRefundStatus.Succeeded)]
    [InlineData("pending", ProviderRefundStatus.Pending)]
    [InlineData("requires_action", ProviderRefundStatus.Pending)]
    [InlineData("failed", ProviderRefundStatus.Failed)]
    [InlineData("canceled", ProviderRefundStatus.Failed)]
    public void A_state_of_a_refund_has_one_meaning(string status, ProviderRefundStatus expected) =>
        Assert.Equal(expected, Assert.IsType<ProviderOutcome.KnownRefund>(
            StripeMapping.Refund(new Refund { Id = "re_1", Amount = 100, Currency = "hkd", Status = status })).Refund.Status);

    [Theory]
    [InlineData("card_declined", "generic_decline", "card_declined", "generic_decline")]
    [InlineData("card_declined", "insufficient_funds", "card_declined", "insufficient_funds")]
    [InlineData("insufficient_funds", null, "card_declined", "insufficient_funds")]
    [InlineData("card_declined", "stolen_card", "card_declined", "stolen_card")]
    [InlineData("card_declined", "lost_card", "card_declined", "lost_card")]
    [InlineData("card_declined", null, "card_declined", null)]
    [InlineData("expired_card", null, "expired_card", "expired_card")]
    [InlineData("incorrect_cvc", null, "incorrect_cvc", "incorrect_cvc")]
    [InlineData("invalid_cvc", null, "incorrect_cvc", "incorrect_cvc")]
    [InlineData("processing_error", null, "processing_error", "processing_error")]
    [InlineData("authentication_required", "authentication_required", "card_authentication_required", "authentication_required")]
    [InlineData("payment_intent_authentication_failure", null, "card_authentication_required", "authentication_failed")]
    [InlineData("a_new_code", null, "card_declined", "a_new_code")]
    public void A_refused_card_has_our_code_and_the_issuers_reason(string code, string? declineCode, string ours, string? reason) =>
        Assert.Equal((ours, reason), StripeMapping.Decline(code, declineCode));

    public static TheoryData<StripeOperation, int, string?, string?, string?, string> Errors { get; } = new()
    {
        // Stripe did not begin.
        { StripeOperation.Create, 401, "invalid_request_error", null, null, nameof(ProviderOutcome.NotAttempted) },
        { StripeOperation.Create, 403, "invalid_request_error", null, null, nameof(ProviderOutcome.NotAttempted) },
        { StripeOperation.Create, 429, "invalid_request_error", "rate_limit", null, nameof(ProviderOutcome.NotAttempted) },
        { StripeOperation.Refund, 429, "invalid_request_error", "lock_timeout", null, nameof(ProviderOutcome.NotAttempted) },
        { StripeOperation.Create, 429, null, null, null, nameof(ProviderOutcome.NotAttempted) },
        // Stripe refuses.
        { StripeOperation.Create, 402, "card_error", "card_declined", null, "card_declined" },
        { StripeOperation.Capture, 402, "card_error", "card_declined", null, "card_declined" },
        { StripeOperation.Create, 400, "invalid_request_error", "resource_missing", "payment_method_data[card][token]", "payment_method_invalid" },
        { StripeOperation.Create, 404, "invalid_request_error", "resource_missing", "payment_method", "payment_method_invalid" },
        { StripeOperation.Create, 400, "invalid_request_error", "amount_too_small", "amount", "provider_refused" },
        { StripeOperation.Capture, 404, "invalid_request_error", "resource_missing", "intent", "provider_refused" },
        { StripeOperation.Refund, 400, "invalid_request_error", "charge_already_refunded", null, "provider_refused" },
        // Nothing is decided.
        { StripeOperation.Capture, 400, "invalid_request_error", "payment_intent_unexpected_state", null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 400, "idempotency_error", null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 409, "idempotency_error", "idempotency_key_in_use", null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 424, "invalid_request_error", null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 500, "api_error", null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 503, null, null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 302, null, null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 400, null, null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Create, 402, null, null, null, nameof(ProviderOutcome.Unknown) },
        // A question.
        { StripeOperation.Find, 404, "invalid_request_error", "resource_missing", "intent", nameof(ProviderOutcome.Absent) },
        { StripeOperation.FindRefund, 404, "invalid_request_error", "resource_missing", "payment_intent", nameof(ProviderOutcome.Absent) },
        { StripeOperation.Find, 404, null, null, null, nameof(ProviderOutcome.Unknown) },
        { StripeOperation.Find, 400, "invalid_request_error", "parameter_unknown", "created", nameof(ProviderOutcome.Unknown) },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public void An_error_means(StripeOperation operation, int status, string? type, string? code, string? param, string expected)
    {
        var error = type is null ? null : new StripeError { Type = type, Code = code, Param = param };
        var outcome = StripeMapping.Error(operation, (HttpStatusCode)status, error);
        Assert.Equal(expected, outcome is ProviderOutcome.Refused refused ? refused.Code : outcome.GetType().Name);
    }

    [Fact]
    public void A_capture_that_was_made_before_answers_with_the_state_of_the_payment()
    {
        var error = new StripeError { Type = "invalid_request_error", Code = "payment_intent_unexpected_state", PaymentIntent = Intent("succeeded") };
        var outcome = StripeMapping.Error(StripeOperation.Capture, HttpStatusCode.BadRequest, error);
        Assert.Equal(ProviderStatus.Succeeded, Assert.IsType<ProviderOutcome.Known>(outcome).Payment.Status);
    }

    private static PaymentIntent Intent(string? status) => new() { Id = "pi_1", Amount = 12800, Currency = "hkd", Status = status };
}
