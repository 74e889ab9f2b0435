using System.Text.Json.Nodes;
using Harbour.Foundation;

namespace Harbour.Sandbox.Providers;

internal sealed record StripeCustomer(string Id, Mode Mode, long Created, Dictionary<string, string> Metadata);

/// <summary>A payment method that is kept for a customer.</summary>
/// <param name="Customer">Null once it is detached.</param>
internal sealed record StripeMethod(string Id, Mode Mode, string Token, string? Customer);

/// <summary>A SetupIntent. <see cref="Status"/> in Stripe's words.</summary>
/// <param name="Method">The payment method that it stores, once it succeeded.</param>
internal sealed record StripeSetup(
    string Id, Mode Mode, long Created, string Customer, string Token, string Method, string Status, Dictionary<string, string> Metadata, string? ReturnUrl,
    string? ErrorCode = null, string? DeclineCode = null);

/// <summary>
/// What Stripe does with customers, SetupIntents and stored payment methods. Nothing is changed here; the reply says what is to be
/// changed.
/// </summary>
/// <param name="link">Where the payer completes a challenge of the object with this id.</param>
internal sealed class StripeStored(StripeBooks books, TimeProvider time, Ids ids, Func<string, string> link)
{
    private long Now => time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>Null for a request that is none of these.</summary>
    public StripeReply? Handle(StripeRequest request) => (request.IsPost, request.Path) switch
    {
        (true, ["customers"]) => CreateCustomer(request),
        (true, ["setup_intents"]) => SetUp(request),
        (false, ["setup_intents", var id]) => books.Setup(request.Mode, id) is { } setup ? new(200, Json(setup)) : StripeRules.Missing("setupintent", id, "intent"),
        (true, ["payment_methods", var id, "detach"]) => Detach(request, id),
        _ => null,
    };

    /// <summary>The payer ends the challenge of a setup.</summary>
    public static StripeSetup Authenticate(StripeSetup setup, bool success)
    {
        var card = Cards.Find(setup.Token)!;
        if (!success) return Failed(setup, "setup_intent_authentication_failure", null);
        return card.Behaviour == CardBehaviour.ChallengeThenDecline ? Failed(setup, card.Code!, card.DeclineCode) : setup with { Status = "succeeded" };
    }

    private StripeReply CreateCustomer(StripeRequest request)
    {
        var customer = new StripeCustomer("cus_" + ids.NewKey(), request.Mode, Now, request.Metadata());
        var json = new JsonObject
        {
            ["id"] = customer.Id,
            ["object"] = "customer",
            ["created"] = customer.Created,
            ["livemode"] = customer.Mode == Mode.Live,
            ["metadata"] = StripeJson.Metadata(customer.Metadata),
        };
        return new(200, json, Begun: true) { Customer = customer };
    }

    private StripeReply SetUp(StripeRequest request)
    {
        if (request["customer"] is not { } customer) return StripeRules.Invalid("parameter_missing", "A customer is needed here.", "customer");
        if (books.Customer(request.Mode, customer) is null) return StripeRules.Missing("customer", customer, "customer");
        if (request["usage"] is not (null or "off_session" or "on_session")) return StripeRules.Invalid(null, "Invalid usage.", "usage");
        const string tokenParam = "payment_method_data[card][token]";
        var token = request["payment_method"] ?? request[tokenParam];
        if (token is null || request["confirm"] != "true") return StripeRules.Invalid("parameter_missing", "Only confirmed setups with a payment method are simulated.", "payment_method");
        if (Cards.Find(token) is not { } card)
            return StripeRules.Invalid("resource_missing", "No such payment method.", request["payment_method"] is null ? tokenParam : "payment_method");

        var setup = new StripeSetup(
            "seti_" + ids.NewKey(), request.Mode, Now, customer, token, "pm_" + ids.NewKey(), "succeeded", request.Metadata(), request["return_url"]);
        return card.Behaviour switch
        {
            CardBehaviour.Busy => new(429, StripeJson.Error("invalid_request_error", "rate_limit", "Too many requests.")),
            CardBehaviour.Hang => new(0, [], Hangs: true),
            CardBehaviour.Decline => Declined(Failed(setup, card.Code!, card.DeclineCode)),
            CardBehaviour.Challenge or CardBehaviour.ChallengeThenDecline => Done(setup with { Status = "requires_action" }),
            CardBehaviour.TakeAndHang => Done(setup) with { Status = 0, Body = [], Hangs = true },
            CardBehaviour.TakeAndFail => Done(setup) with { Status = 500, Body = StripeRules.ServerError() },
            _ => Done(setup),
        };
    }

    private StripeReply Detach(StripeRequest request, string id)
    {
        if (books.Method(request.Mode, id) is not { } method) return StripeRules.Missing("PaymentMethod", id, "payment_method");
        if (method.Customer is null) return StripeRules.Invalid(null, "The payment method is not attached to a customer.", "payment_method");
        var json = new JsonObject { ["id"] = id, ["object"] = "payment_method", ["type"] = "card", ["card"] = StripeJson.CardDetails(method.Token), ["customer"] = null };
        return new(200, json, Begun: true) { Method = method with { Customer = null } };
    }

    private StripeReply Done(StripeSetup setup) => new(200, Json(setup), Begun: true) { Setup = setup };

    private StripeReply Declined(StripeSetup setup)
    {
        var error = StripeJson.CardError(setup.Token, setup.Method, setup.ErrorCode!, setup.DeclineCode);
        error["setup_intent"] = Json(setup);
        return new(402, new JsonObject { ["error"] = error }, Begun: true) { Setup = setup };
    }

    private static StripeSetup Failed(StripeSetup setup, string code, string? declineCode) =>
        setup with { Status = "requires_payment_method", ErrorCode = code, DeclineCode = declineCode };

    private JsonObject Json(StripeSetup setup) => new()
    {
        ["id"] = setup.Id,
        ["object"] = "setup_intent",
        ["client_secret"] = setup.Id + "_secret_simulated",
        ["created"] = setup.Created,
        ["customer"] = setup.Customer,
        ["last_setup_error"] = setup.ErrorCode is null ? null : StripeJson.CardError(setup.Token, setup.Method, setup.ErrorCode, setup.DeclineCode),
        ["livemode"] = setup.Mode == Mode.Live,
        ["metadata"] = StripeJson.Metadata(setup.Metadata),
        ["next_action"] = setup.Status == "requires_action"
            ? new JsonObject
            {
                ["type"] = "redirect_to_url",
                ["redirect_to_url"] = new JsonObject { ["url"] = link(setup.Id), ["return_url"] = setup.ReturnUrl },
            }
            : null,
        ["payment_method"] = setup.ErrorCode is not null ? null
            : new JsonObject { ["id"] = setup.Method, ["object"] = "payment_method", ["type"] = "card", ["card"] = StripeJson.CardDetails(setup.Token) },
        ["payment_method_types"] = new JsonArray("card"),
        ["status"] = setup.Status,
        ["usage"] = "off_session",
    };
}
