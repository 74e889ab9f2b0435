using System.Globalization;
using System.Text.Json.Nodes;
using Harbour.Foundation;

namespace Harbour.Sandbox.Providers;

/// <summary>The simulated Stripe's objects as Stripe writes them: field names and shapes of its API reference.</summary>
internal static class StripeJson
{
    /// <param name="expandCharge">The charge whole, instead of its id.</param>
    /// <param name="link">Where the payer completes a challenge of the payment.</param>
    public static JsonObject Payment(StripePayment payment, bool expandCharge, Func<StripePayment, string> link)
    {
        var challenged = payment.Status == "requires_action";
        return new JsonObject
        {
            ["id"] = payment.Id,
            ["object"] = "payment_intent",
            ["amount"] = payment.Amount,
            ["amount_capturable"] = payment.Status == "requires_capture" ? payment.Amount - payment.Captured : 0,
            ["amount_received"] = payment.Captured,
            ["canceled_at"] = payment.CanceledAt,
            ["cancellation_reason"] = payment.CancellationReason,
            ["capture_method"] = payment.Manual ? "manual" : "automatic",
            ["client_secret"] = payment.Id + "_secret_simulated",
            ["confirmation_method"] = "automatic",
            ["created"] = payment.Created,
            ["currency"] = payment.Currency,
            ["customer"] = payment.Customer,
            ["description"] = payment.Description,
            ["last_payment_error"] = payment.ErrorCode is null ? null : CardError(payment),
            ["latest_charge"] = payment.Charge is null ? null : expandCharge ? Charge(payment) : payment.Charge,
            ["livemode"] = payment.Mode == Mode.Live,
            ["metadata"] = Metadata(payment.Metadata),
            ["next_action"] = challenged
                ? new JsonObject
                {
                    ["type"] = "redirect_to_url",
                    ["redirect_to_url"] = new JsonObject { ["url"] = link(payment), ["return_url"] = payment.ReturnUrl },
                }
                : null,
            ["payment_method"] = payment.ErrorCode is null ? Method(payment) : null,
            ["payment_method_types"] = new JsonArray("card"),
            ["setup_future_usage"] = payment.Stores ? "off_session" : null,
            ["status"] = payment.Status,
        };
    }

    public static JsonObject Refund(StripeRefund refund) => new()
    {
        ["id"] = refund.Id,
        ["object"] = "refund",
        ["amount"] = refund.Amount,
        ["charge"] = refund.Charge,
        ["created"] = refund.Created,
        ["currency"] = refund.Currency,
        ["metadata"] = Metadata(refund.Metadata),
        ["payment_intent"] = refund.Payment,
        ["reason"] = refund.Reason,
        ["status"] = "succeeded",
    };

    public static JsonObject List(string url, IEnumerable<JsonObject> data, bool hasMore) => new()
    {
        ["object"] = "list",
        ["url"] = url,
        ["has_more"] = hasMore,
        ["data"] = new JsonArray([.. data]),
    };

    public static JsonObject Error(string type, string? code, string message, string? param = null, JsonObject? payment = null)
    {
        var error = new JsonObject { ["type"] = type, ["message"] = message };
        if (code is not null) error["code"] = code;
        if (param is not null) error["param"] = param;
        if (payment is not null) error["payment_intent"] = payment;
        return new JsonObject { ["error"] = error };
    }

    /// <summary>A declined card, as an error object without its envelope.</summary>
    public static JsonObject CardError(StripePayment payment)
    {
        var error = CardError(payment.Token, Method(payment), payment.ErrorCode!, payment.DeclineCode);
        error["charge"] = payment.Charge;
        return error;
    }

    public static JsonObject CardError(string token, string method, string code, string? declineCode)
    {
        var error = new JsonObject
        {
            ["type"] = "card_error",
            ["code"] = code,
            ["message"] = "Your card was declined.",
            ["payment_method"] = new JsonObject { ["id"] = method, ["object"] = "payment_method", ["type"] = "card", ["card"] = CardDetails(token) },
        };
        if (declineCode is not null) error["decline_code"] = declineCode;
        return error;
    }

    private static JsonObject Charge(StripePayment payment)
    {
        var card = Cards.Find(payment.Token)!;
        var failed = payment.ErrorCode is not null;
        return new JsonObject
        {
            ["id"] = payment.Charge,
            ["object"] = "charge",
            ["amount"] = payment.Amount,
            ["amount_captured"] = payment.Captured,
            ["amount_refunded"] = payment.Refunded,
            ["captured"] = payment.Captured > 0,
            ["created"] = payment.Created,
            ["currency"] = payment.Currency,
            ["failure_code"] = payment.ErrorCode,
            ["livemode"] = payment.Mode == Mode.Live,
            ["metadata"] = Metadata(payment.Metadata),
            ["outcome"] = new JsonObject
            {
                ["network_status"] = failed ? "declined_by_network" : "approved_by_network",
                ["reason"] = failed ? payment.DeclineCode : null,
                ["risk_level"] = card.RiskLevel,
                ["risk_score"] = card.RiskScore,
                ["type"] = failed ? "issuer_declined" : "authorized",
            },
            ["paid"] = !failed,
            ["payment_intent"] = payment.Id,
            ["payment_method"] = Method(payment),
            ["payment_method_details"] = new JsonObject { ["type"] = "card", ["card"] = CardDetails(payment.Token, payment.Authenticated) },
            ["refunded"] = payment.Captured > 0 && payment.Refunded == payment.Captured,
            ["status"] = failed ? "failed" : "succeeded",
        };
    }

    public static JsonObject CardDetails(string token, bool authenticated = false)
    {
        var card = Cards.Find(token)!;
        return new JsonObject
        {
            ["brand"] = card.Brand,
            ["country"] = card.Country,
            ["exp_month"] = 12,
            ["exp_year"] = 2034,
            ["fingerprint"] = card.Fingerprint,
            ["funding"] = "credit",
            ["last4"] = card.Last4,
            ["network"] = card.Brand,
            ["three_d_secure"] = authenticated
                ? new JsonObject
                {
                    ["authentication_flow"] = "challenge",
                    ["electronic_commerce_indicator"] = "05",
                    ["result"] = "authenticated",
                    ["version"] = "2.2.0",
                }
                : null,
        };
    }

    private static string Method(StripePayment payment) => payment.Method
        ?? (payment.Token.StartsWith("tok_", StringComparison.Ordinal) ? string.Create(CultureInfo.InvariantCulture, $"pm_{payment.Token[4..]}") : payment.Token);

    public static JsonObject Metadata(Dictionary<string, string> metadata)
    {
        var json = new JsonObject();
        foreach (var (key, value) in metadata) json[key] = value;
        return json;
    }
}
