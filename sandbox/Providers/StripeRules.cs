using System.Globalization;
using System.Text.Json.Nodes;
using Harbour.Foundation;

namespace Harbour.Sandbox.Providers;

/// <param name="Path">Without <c>/v1/</c>, in parts: <c>payment_intents</c>, <c>pi_…</c>, <c>capture</c>.</param>
/// <param name="Parameters">Of the form or the query, by their full names: <c>metadata[harbour_charge]</c>.</param>
internal sealed record StripeRequest(Mode Mode, bool IsPost, string[] Path, IReadOnlyDictionary<string, string> Parameters)
{
    public string? this[string name] => Parameters.TryGetValue(name, out var value) && value.Length > 0 ? value : null;

    public bool Expands(string field) => Parameters.Any(p => p.Key.StartsWith("expand", StringComparison.Ordinal) && p.Value == field);

    public Dictionary<string, string> Metadata() => Parameters
        .Where(p => p.Key.StartsWith("metadata[", StringComparison.Ordinal) && p.Key.EndsWith(']'))
        .ToDictionary(p => p.Key["metadata[".Length..^1], p => p.Value, StringComparer.Ordinal);
}

/// <param name="Begun">True once the request was carried out: its answer, good or bad, is kept for its idempotency key.</param>
/// <param name="Payment">The payment as the request leaves it, and <paramref name="Refund"/> the refund it made.</param>
/// <param name="Hangs">The answer never comes.</param>
internal sealed record StripeReply(
    int Status, JsonObject Body, bool Begun = false, StripePayment? Payment = null, StripeRefund? Refund = null, bool Hangs = false)
{
    public StripeCustomer? Customer { get; init; }
    public StripeSetup? Setup { get; init; }

    /// <summary>A stored payment method as the request leaves it.</summary>
    public StripeMethod? Method { get; init; }
}

/// <summary>
/// What Stripe does with each request: the rules of PaymentIntents and refunds, as far as the sandbox needs them. Nothing is changed
/// here; the reply says what is to be changed.
/// </summary>
internal sealed class StripeRules(StripeBooks books, TimeProvider time, Ids ids, Func<StripePayment, string> link, StripeStored stored)
{
    private const long MostPerPayment = 99_999_999;

    public long Now => time.GetUtcNow().ToUnixTimeSeconds();

    public StripeReply Handle(StripeRequest request) => (request.IsPost, request.Path) switch
    {
        (true, ["payment_intents"]) => Create(request),
        (false, ["payment_intents"]) => ListPayments(request),
        (false, ["payment_intents", var id]) => OnPayment(request, id, payment => new(200, Json(payment, request))),
        (true, ["payment_intents", var id, "capture"]) => OnPayment(request, id, payment => Capture(request, payment)),
        (true, ["payment_intents", var id, "cancel"]) => OnPayment(request, id, payment => Cancel(request, payment)),
        (true, ["payment_intents", var id, "confirm"]) => OnPayment(request, id, payment => Confirm(request, payment)),
        (true, ["refunds"]) => Refund(request),
        (false, ["refunds"]) => ListRefunds(request),
        (false, ["refunds", var id]) => books.Refund(request.Mode, id) is { } refund ? new(200, StripeJson.Refund(refund)) : Missing("refund", id, "id"),
        _ => stored.Handle(request) ?? new(404, StripeJson.Error("invalid_request_error", null, "Unrecognized request URL.")),
    };

    /// <summary>The payer ends a challenge. Null if the payment does not wait for one.</summary>
    public StripePayment? Authenticate(StripePayment payment, bool success)
    {
        if (payment.Status != "requires_action") return null;
        var card = Cards.Find(payment.Token)!;
        payment = payment with { Authenticated = success, Charge = NewId("ch_") };
        if (!success) return Failed(payment, "payment_intent_authentication_failure", null);
        return card.Behaviour == CardBehaviour.ChallengeThenDecline ? Failed(payment, card.Code!, card.DeclineCode) : Taken(payment);
    }

    private StripeReply Create(StripeRequest request)
    {
        if (!TryNumber(request, "amount", out var amount)) return Invalid("parameter_invalid_integer", "Invalid integer.", "amount");
        if (amount is null) return Invalid("parameter_missing", "Missing required param: amount.", "amount");
        if (request["currency"] is not { } currency) return Invalid("parameter_missing", "Missing required param: currency.", "currency");
        if (!Currency.TryParse(currency.ToUpperInvariant(), out _)) return Invalid(null, "Invalid currency.", "currency");
        if (amount < Smallest(currency)) return Invalid("amount_too_small", "Amount must convert to at least the minimum.", "amount");
        if (amount > MostPerPayment) return Invalid("amount_too_large", "Amount is too large.", "amount");
        if (request["capture_method"] is not (null or "automatic" or "automatic_async" or "manual"))
            return Invalid(null, "Invalid capture_method.", "capture_method");
        if (request["payment_method_data[card][number]"] is not null)
            return new(402, StripeJson.Error("invalid_request_error", null, "Sending credit card numbers directly is unsafe."));
        const string tokenParam = "payment_method_data[card][token]";
        var customer = request["customer"];
        if (customer is not null && books.Customer(request.Mode, customer) is null) return Missing("customer", customer, "customer");
        var stores = request["setup_future_usage"] is not null;
        if (stores && customer is null) return Invalid("parameter_missing", "A customer is needed here.", "customer");
        // A stored payment method is charged for the customer that it is stored for, and nobody else.
        var kept = request["payment_method"] is { } method ? books.Method(request.Mode, method) : null;
        if (kept is not null && (kept.Customer is null || kept.Customer != customer))
            return Invalid("resource_missing", "The payment method does not belong to this customer.", "payment_method");
        var token = kept?.Token ?? request["payment_method"] ?? request[tokenParam];
        if (token is null) return Invalid("parameter_missing", "A payment method is required.", "payment_method");
        if (Cards.Find(token) is not { } card)
            return request["payment_method"] is null
                ? Invalid("resource_missing", "No such token.", tokenParam)
                : Invalid("resource_missing", "No such PaymentMethod.", "payment_method");

        var payment = new StripePayment
        {
            Id = NewId("pi_"),
            Mode = request.Mode,
            Created = Now,
            Amount = amount.Value,
            Currency = currency.ToLowerInvariant(),
            Status = "requires_confirmation",
            Manual = request["capture_method"] == "manual",
            Token = token,
            Metadata = request.Metadata(),
            Description = request["description"],
            ReturnUrl = request["return_url"],
            OffSession = request["off_session"] == "true",
            Customer = customer,
            Method = kept?.Id ?? (stores ? NewId("pm_") : null),
            Stores = stores,
        };
        return request["confirm"] == "true" ? Charge(request, payment, card) : Done(request, payment);
    }

    private StripeReply Confirm(StripeRequest request, StripePayment payment) => payment.Status switch
    {
        "requires_confirmation" => Charge(request, payment with { ReturnUrl = request["return_url"] ?? payment.ReturnUrl }, Cards.Find(payment.Token)!),
        "requires_action" => new(200, Json(payment, request), Begun: true),
        _ => WrongState(request, payment, "confirm"),
    };

    private StripeReply Charge(StripeRequest request, StripePayment payment, Card card)
    {
        switch (card.Behaviour)
        {
            case CardBehaviour.Busy:
                return new(429, StripeJson.Error("invalid_request_error", "rate_limit", "Too many requests."));
            case CardBehaviour.Hang:
                return new(0, [], Hangs: true);
            case CardBehaviour.Challenge or CardBehaviour.ChallengeThenDecline when !payment.OffSession:
            case not (CardBehaviour.Decline or CardBehaviour.TakeAndHang or CardBehaviour.TakeAndFail) when AsksForChallenge(request) && !payment.OffSession:
                return Done(request, payment with { Status = "requires_action" });
        }

        payment = payment with { Charge = NewId("ch_") };
        var failures = card.Behaviour == CardBehaviour.FailOffSession && payment.OffSession
            ? books.OffSessionFailures(payment)
            : card.Failures;
        return card.Behaviour switch
        {
            CardBehaviour.Decline => Declined(request, payment, card.Code!, card.DeclineCode),
            // Nobody is there to take the challenge.
            CardBehaviour.Challenge or CardBehaviour.ChallengeThenDecline => Declined(request, payment, "authentication_required", "authentication_required"),
            CardBehaviour.FailOffSession when failures < card.Failures => Declined(request, payment, card.Code!, card.DeclineCode),
            CardBehaviour.TakeAndHang => new(0, [], Begun: true, Taken(payment), Hangs: true),
            CardBehaviour.TakeAndFail => new(500, ServerError(), Begun: true, Taken(payment)),
            _ => Done(request, Taken(payment)),
        };
    }

    private static bool AsksForChallenge(StripeRequest request) =>
        request["payment_method_options[card][request_three_d_secure]"] is "any" or "challenge";

    private StripeReply Capture(StripeRequest request, StripePayment payment)
    {
        if (!TryNumber(request, "amount_to_capture", out var asked)) return Invalid("parameter_invalid_integer", "Invalid integer.", "amount_to_capture");
        var final = request["final_capture"] != "false";
        if (payment.Status != "requires_capture") return WrongState(request, payment, "capture");
        var amount = asked ?? payment.Amount - payment.Captured;
        if (amount < 0 || (amount == 0 && !final)) return Invalid("parameter_invalid_integer", "Invalid positive integer.", "amount_to_capture");
        if (amount > payment.Amount - payment.Captured)
            return new(400, StripeJson.Error("invalid_request_error", "amount_too_large",
                "The amount to capture exceeds what can be captured.", "amount_to_capture", Json(payment, request)), Begun: true);
        var captured = payment.Captured + amount;
        return Done(request, payment with { Captured = captured, Status = final || captured == payment.Amount ? "succeeded" : "requires_capture" });
    }

    private StripeReply Cancel(StripeRequest request, StripePayment payment) =>
        payment.Status is "requires_capture" or "requires_action" or "requires_confirmation" or "requires_payment_method"
            ? Done(request, payment with { Status = "canceled", CanceledAt = Now, CancellationReason = request["cancellation_reason"] })
            : WrongState(request, payment, "cancel");

    private StripeReply Refund(StripeRequest request)
    {
        if (!TryNumber(request, "amount", out var asked)) return Invalid("parameter_invalid_integer", "Invalid integer.", "amount");
        if (request["reason"] is not (null or "duplicate" or "fraudulent" or "requested_by_customer")) return Invalid(null, "Invalid reason.", "reason");
        var id = request["payment_intent"] ?? request["charge"];
        if (id is null) return Invalid("parameter_missing", "One of charge or payment_intent is required.", "payment_intent");
        if ((books.Payment(request.Mode, request["payment_intent"]) ?? books.PaymentOfCharge(request.Mode, request["charge"])) is not { } payment)
            return Missing("payment_intent", id, "payment_intent");
        if (payment.Captured == 0)
            return new(400, StripeJson.Error("invalid_request_error", "payment_intent_unexpected_state",
                "This PaymentIntent does not have a successful charge to refund.", "payment_intent"), Begun: true);

        var left = payment.Captured - payment.Refunded;
        if (left == 0) return new(400, StripeJson.Error("invalid_request_error", "charge_already_refunded", "The charge has already been refunded."), Begun: true);
        var amount = asked ?? left;
        if (amount <= 0) return Invalid("parameter_invalid_integer", "Invalid positive integer.", "amount");
        if (amount > left)
            return new(400, StripeJson.Error("invalid_request_error", null, "The refund is greater than the unrefunded amount.", "amount"), Begun: true);

        var refund = new StripeRefund
        {
            Id = NewId("re_"),
            Mode = payment.Mode,
            Payment = payment.Id,
            Charge = payment.Charge!,
            Created = Now,
            Amount = amount,
            Currency = payment.Currency,
            Metadata = request.Metadata(),
            Reason = request["reason"],
        };
        return new(200, StripeJson.Refund(refund), Begun: true, payment with { Refunded = payment.Refunded + amount }, refund);
    }

    private StripeReply ListPayments(StripeRequest request)
    {
        if (!TryLimit(request, out var limit) || !TryRange(request, out var from, out var to)) return Invalid(null, "Invalid integer.", "created");
        var page = books.NewestPayments(request.Mode, request["starting_after"])
            .SkipWhile(payment => payment.Created > to)
            .TakeWhile(payment => payment.Created >= from)
            .Take(limit + 1).ToList();
        var expand = request.Expands("data.latest_charge");
        return new(200, StripeJson.List("/v1/payment_intents", page.Take(limit).Select(p => StripeJson.Payment(p, expand, link)), page.Count > limit));
    }

    private StripeReply ListRefunds(StripeRequest request)
    {
        if (!TryLimit(request, out var limit)) return Invalid(null, "Invalid integer.", "limit");
        var payment = request["payment_intent"];
        if (payment is not null && books.Payment(request.Mode, payment) is null) return Missing("payment_intent", payment, "payment_intent");
        var page = books.NewestRefunds(request.Mode, payment)
            .SkipWhile(refund => request["starting_after"] is { } after && string.CompareOrdinal(refund.Id, after) >= 0)
            .Take(limit + 1).ToList();
        return new(200, StripeJson.List("/v1/refunds", page.Take(limit).Select(StripeJson.Refund), page.Count > limit));
    }

    private StripeReply OnPayment(StripeRequest request, string id, Func<StripePayment, StripeReply> then) =>
        books.Payment(request.Mode, id) is { } payment ? then(payment) : Missing("payment_intent", id, "intent");

    private StripeReply Done(StripeRequest request, StripePayment payment) => new(200, Json(payment, request), Begun: true, payment);

    private StripeReply Declined(StripeRequest request, StripePayment payment, string code, string? declineCode)
    {
        payment = Failed(payment, code, declineCode);
        var error = StripeJson.CardError(payment);
        error["payment_intent"] = Json(payment, request);
        return new(402, new JsonObject { ["error"] = error }, Begun: true, payment);
    }

    private StripeReply WrongState(StripeRequest request, StripePayment payment, string verb) =>
        new(400, StripeJson.Error("invalid_request_error", "payment_intent_unexpected_state",
            $"You cannot {verb} this PaymentIntent because it has a status of {payment.Status}.", null, Json(payment, request)), Begun: true);

    private JsonObject Json(StripePayment payment, StripeRequest request) => StripeJson.Payment(payment, request.Expands("latest_charge"), link);

    private string NewId(string prefix) => prefix + ids.NewKey();

    public static JsonObject ServerError() => StripeJson.Error("api_error", null, "An error occurred internally.");

    private static StripePayment Taken(StripePayment payment) =>
        payment.Manual ? payment with { Status = "requires_capture" } : payment with { Status = "succeeded", Captured = payment.Amount };

    private static StripePayment Failed(StripePayment payment, string code, string? declineCode) =>
        payment with { Status = "requires_payment_method", ErrorCode = code, DeclineCode = declineCode };

    internal static StripeReply Missing(string kind, string id, string param) =>
        new(404, StripeJson.Error("invalid_request_error", "resource_missing", $"No such {kind}: '{id}'", param));

    internal static StripeReply Invalid(string? code, string message, string param) =>
        new(400, StripeJson.Error("invalid_request_error", code, message, param));

    /// <summary>Stripe's minimum charge of the currencies that Harbour settles in.</summary>
    private static long Smallest(string currency) => currency.ToUpperInvariant() switch { "HKD" or "CNY" => 400, "USD" => 50, _ => 1 };

    private static bool TryNumber(StripeRequest request, string name, out long? value)
    {
        value = null;
        if (request[name] is not { } text) return true;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) return false;
        value = number;
        return true;
    }

    private static bool TryLimit(StripeRequest request, out int limit)
    {
        var read = TryNumber(request, "limit", out var asked);
        limit = (int)Math.Clamp(asked ?? 10, 1, 100);
        return read;
    }

    private static bool TryRange(StripeRequest request, out long from, out long to)
    {
        (from, to) = (long.MinValue, long.MaxValue);
        if (!TryNumber(request, "created[gte]", out var atLeast) || !TryNumber(request, "created[gt]", out var above)
            || !TryNumber(request, "created[lte]", out var atMost) || !TryNumber(request, "created[lt]", out var below)) return false;
        from = Math.Max(atLeast ?? from, above + 1 ?? from);
        to = Math.Min(atMost ?? to, below - 1 ?? to);
        return true;
    }
}
