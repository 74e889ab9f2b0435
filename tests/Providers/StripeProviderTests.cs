using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Providers.Stripe;
using Harbour.Sandbox.Providers;

namespace Harbour.Tests.Providers;

/// <summary>What the Stripe connector does beyond the contract of all providers, against the simulated Stripe over real HTTP.</summary>
public sealed class StripeProviderTests
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static int made;

    [Theory]
    [InlineData("tok_visa", "visa", "4242", "US")]
    [InlineData("tok_mastercard", "mastercard", "4444", "US")]
    [InlineData("tok_unionpay", "unionpay", "0005", "CN")]
    [InlineData("tok_risky", "visa", "9235", "US")]
    [InlineData("pm_card_visa", "visa", "4242", "US")]
    public async Task A_good_card_is_charged_and_told(string token, string brand, string last4, string country)
    {
        await using var rig = await StripeRig.StartAsync();
        var payment = Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge(token), None)).Payment;
        Assert.Equal(ProviderStatus.Succeeded, payment.Status);
        Assert.Equal((brand, last4, country), (payment.Card!.Brand, payment.Card.Last4, payment.Card.Country));
        Assert.NotNull(payment.Card.Fingerprint);
    }

    [Theory]
    [InlineData("tok_declined", "card_declined", "generic_decline")]
    [InlineData("tok_insufficient_funds", "card_declined", "insufficient_funds")]
    [InlineData("tok_expired_card", "expired_card", "expired_card")]
    [InlineData("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc")]
    [InlineData("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error")]
    [InlineData("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card")]
    public async Task A_bad_card_is_refused_and_the_failed_payment_is_named(string token, string code, string declineCode)
    {
        await using var rig = await StripeRig.StartAsync();
        var charge = Charge(token);
        var refused = Assert.IsType<ProviderOutcome.Refused>(await rig.Provider.CreateAsync(charge, None));
        Assert.Equal((code, declineCode), (refused.Code, refused.DeclineCode));
        Assert.Equal(ProviderStatus.Failed, refused.Payment!.Status);
        Assert.NotNull(refused.Payment.Card);

        var found = Assert.IsType<ProviderOutcome.Known>(await rig.Provider.FindAsync(new(charge.Charge, Mode.Test, null, rig.Time.GetUtcNow(), rig.Time.GetUtcNow().AddMinutes(15), "r"), None));
        Assert.Equal((refused.Payment.Reference, code), (found.Payment.Reference, found.Payment.FailureCode));
    }

    [Theory]
    [InlineData("tok_nobody")]
    [InlineData("pm_nobody")]
    public async Task A_token_that_Stripe_does_not_know_is_refused_and_leaves_nothing(string token)
    {
        await using var rig = await StripeRig.StartAsync();
        Assert.Equal("payment_method_invalid", Assert.IsType<ProviderOutcome.Refused>(await rig.Provider.CreateAsync(Charge(token), None)).Code);
        Assert.Empty(rig.Simulator.Payments());
    }

    [Fact]
    public async Task An_amount_that_Stripe_cannot_say_is_refused_without_a_call()
    {
        var wire = new Wire();
        await using var rig = await StripeRig.StartAsync(wire.Around);
        var refused = Assert.IsType<ProviderOutcome.Refused>(
            await rig.Provider.CreateAsync(Charge("tok_visa") with { Amount = new Money(5124, Currency.Parse("KWD")) }, None));
        Assert.Equal("amount_not_representable", refused.DeclineCode);
        Assert.Empty(wire.Sent);
    }

    [Fact]
    public async Task A_challenge_tells_where_to_go_and_ends_as_the_payer_ends_it()
    {
        await using var rig = await StripeRig.StartAsync();
        foreach (var (token, success, status) in new[]
        {
            ("tok_3ds_required", true, ProviderStatus.Succeeded),
            ("tok_3ds_required", false, ProviderStatus.Failed),
            ("tok_3ds_failed", true, ProviderStatus.Failed),
        })
        {
            var charge = Charge(token) with { ReturnUrl = "https://shop.example/back" };
            var waiting = Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(charge, None)).Payment;
            Assert.Equal(ProviderStatus.RequiresAction, waiting.Status);
            Assert.Equal($"http://localhost:7071/sandbox/providers/stripe/payments/{waiting.Reference}/authenticate", waiting.RedirectUrl);

            Assert.Equal("https://shop.example/back", rig.Simulator.Authenticate(waiting.Reference, success)!.ReturnUrl);
            Assert.Null(rig.Simulator.Authenticate(waiting.Reference, success));
            Assert.Equal(status, (await FindAsync(rig, charge, waiting.Reference)).Status);
        }
    }

    [Theory]
    [InlineData("tok_3ds_required", true, ProviderSetupStatus.Succeeded)]
    [InlineData("tok_3ds_required", false, ProviderSetupStatus.Failed)]
    [InlineData("tok_3ds_failed", true, ProviderSetupStatus.Failed)]
    public async Task A_setup_that_is_challenged_ends_as_the_payer_ends_it(string token, bool success, ProviderSetupStatus expected)
    {
        await using var rig = await StripeRig.StartAsync();
        var setup = new ProviderSetup("man_one", Mode.Test, await CustomerAsync(rig), "card", token, "mch_one", "https://shop.example/back", "r");
        var waiting = Assert.IsType<ProviderOutcome.KnownSetup>(await rig.Provider.SetUpAsync(setup, None)).Setup;
        Assert.Equal((ProviderSetupStatus.RequiresAction, null), (waiting.Status, waiting.Stored));
        Assert.Equal($"http://localhost:7071/sandbox/providers/stripe/payments/{waiting.Reference}/authenticate", waiting.RedirectUrl);

        Assert.True(rig.Simulator.AuthenticateSetup(waiting.Reference, success, out var back));
        Assert.Equal("https://shop.example/back", back);
        Assert.False(rig.Simulator.AuthenticateSetup(waiting.Reference, success, out _));
        var ended = Assert.IsType<ProviderOutcome.KnownSetup>(await rig.Provider.FindSetupAsync(new(waiting.Reference, Mode.Test, "r"), None)).Setup;
        Assert.Equal((expected, expected is ProviderSetupStatus.Succeeded), (ended.Status, ended.Stored is not null));
        if (expected is not ProviderSetupStatus.Succeeded) return;

        // Nobody is there to take the next challenge.
        var later = await rig.Provider.CreateAsync(Charge(ended.Stored!.Method) with { Stored = ended.Stored }, None);
        var refused = Assert.IsType<ProviderOutcome.Refused>(later);
        Assert.Equal(("card_authentication_required", "authentication_required"), (refused.Code, refused.DeclineCode));
    }

    [Fact]
    public async Task A_card_that_was_stolen_since_says_so()
    {
        await using var rig = await StripeRig.StartAsync();
        var first = Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_recurring_stolen") with { StoreFor = await CustomerAsync(rig) }, None)).Payment;
        for (var i = 0; i < 2; i++)
        {
            var refused = Assert.IsType<ProviderOutcome.Refused>(await rig.Provider.CreateAsync(Charge(first.Stored!.Method) with { Stored = first.Stored }, None));
            Assert.Equal(("card_declined", "stolen_card"), (refused.Code, refused.DeclineCode));
        }
    }

    [Fact]
    public async Task An_authorisation_is_captured_in_parts_up_to_its_amount()
    {
        await using var rig = await StripeRig.StartAsync();
        var payment = await AuthorizeAsync(rig, 10000);
        Assert.Equal((ProviderStatus.Authorized, 0L), (payment.Status, payment.Captured.Minor));

        Assert.Equal((ProviderStatus.Authorized, 3000L), await CaptureAsync(rig, payment, "k1", 3000, final: false));
        Assert.Equal((ProviderStatus.Authorized, 3000L), await CaptureAsync(rig, payment, "k1", 3000, final: false));
        Assert.Equal((ProviderStatus.Authorized, 7000L), await CaptureAsync(rig, payment, "k2", 4000, final: false));
        var tooMuch = await rig.Provider.CaptureAsync(new("k3", Mode.Test, payment.Reference, new Money(3001, Currency.HKD), true, "r"), None);
        Assert.Equal("amount_too_large", Assert.IsType<ProviderOutcome.Refused>(tooMuch).DeclineCode);
        Assert.Equal((ProviderStatus.Succeeded, 9000L), await CaptureAsync(rig, payment, "k4", 2000, final: true));
        Assert.Equal(9000, Assert.Single(rig.Simulator.Payments()).AmountCaptured);
    }

    [Fact]
    public async Task A_capture_or_cancel_that_comes_too_late_answers_with_the_state_of_the_payment()
    {
        await using var rig = await StripeRig.StartAsync();
        var captured = await AuthorizeAsync(rig, 10000);
        await CaptureAsync(rig, captured, "k1", 10000, final: true);
        Assert.Equal((ProviderStatus.Succeeded, 10000L), await CaptureAsync(rig, captured, "k2", 10000, final: true));
        Assert.Equal(ProviderStatus.Succeeded, await CancelAsync(rig, captured, "k3"));

        var canceled = await AuthorizeAsync(rig, 10000);
        Assert.Equal(ProviderStatus.Canceled, await CancelAsync(rig, canceled, "k4"));
        Assert.Equal(ProviderStatus.Canceled, await CancelAsync(rig, canceled, "k4"));
        Assert.Equal((ProviderStatus.Canceled, 0L), await CaptureAsync(rig, canceled, "k5", 10000, final: true));
    }

    [Fact]
    public async Task A_refund_above_what_is_left_is_refused_for_good()
    {
        await using var rig = await StripeRig.StartAsync();
        var payment = Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa"), None)).Payment;
        Assert.IsType<ProviderOutcome.KnownRefund>(await RefundAsync(rig, payment, "re_1", 12800));
        Assert.Equal("charge_already_refunded", Assert.IsType<ProviderOutcome.Refused>(await RefundAsync(rig, payment, "re_2", 1)).DeclineCode);
        var authorized = await AuthorizeAsync(rig, 10000);
        Assert.IsType<ProviderOutcome.Refused>(await RefundAsync(rig, authorized, "re_3", 1));
    }

    [Fact]
    public async Task Every_request_carries_our_request_id_our_id_as_its_key_and_the_key_of_its_mode()
    {
        var wire = new Wire();
        await using var rig = await StripeRig.StartAsync(wire.Around);
        var charge = Charge("tok_visa") with { Mode = Mode.Live, RequestId = "req-7.a_b" };
        await rig.Provider.CreateAsync(charge, None);
        await rig.Provider.FindAsync(new(charge.Charge, Mode.Test, null, rig.Time.GetUtcNow(), rig.Time.GetUtcNow().AddMinutes(15), "req-8"), None);

        Assert.Equal(3, wire.Sent.Count);
        var create = wire.Sent.First();
        Assert.Equal(("req-7.a_b", charge.Charge, "Bearer sk_live_rig"), (create.RequestId, create.Key, create.Authorization));
        Assert.All(wire.Sent.Skip(1), find => Assert.Equal(("req-8", null, "Bearer sk_test_rig"), (find.RequestId, find.Key, find.Authorization)));
        Assert.All(wire.Sent, sent => Assert.NotEmpty(sent.Version!));
    }

    [Fact]
    public async Task A_rotated_key_is_followed_by_the_next_call()
    {
        var (wire, key) = (new Wire(), "sk_test_old");
        await using var rig = await StripeRig.StartAsync(wire.Around, (_, _) => ValueTask.FromResult(key));
        await rig.Provider.CreateAsync(Charge("tok_visa"), None);
        key = "sk_test_new";
        await rig.Provider.CreateAsync(Charge("tok_visa"), None);
        Assert.Equal(["Bearer sk_test_old", "Bearer sk_test_new"], wire.Sent.Select(sent => sent.Authorization));
    }

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    public async Task Without_a_key_nothing_is_attempted(string? key)
    {
        var wire = new Wire();
        await using var rig = await StripeRig.StartAsync(wire.Around, (_, _) => ValueTask.FromResult(key ?? throw new InvalidOperationException("The vault is closed.")));
        Assert.IsType<ProviderOutcome.NotAttempted>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
        Assert.Empty(wire.Sent);
    }

    [Fact]
    public async Task A_key_that_Stripe_does_not_take_is_not_attempted()
    {
        await using var rig = await StripeRig.StartAsync(key: (_, _) => ValueTask.FromResult("wrong"));
        Assert.IsType<ProviderOutcome.NotAttempted>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
    }

    [Fact]
    public async Task An_answer_that_is_lost_is_asked_for_again_under_the_same_key_and_charged_once()
    {
        var wire = new Wire((attempt, send) => attempt == 1 ? LoseAnswer(send) : send());
        await using var rig = await StripeRig.StartAsync(wire.Around);
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
        Assert.Equal(2, wire.Sent.Count);
        Assert.Single(wire.Sent.Select(sent => sent.Key).Distinct());
        Assert.Single(rig.Simulator.Payments());
    }

    [Fact]
    public async Task What_may_have_been_taken_never_becomes_not_attempted()
    {
        var laters = new Func<Task<HttpResponseMessage>>[]
        {
            () => throw new HttpRequestException(HttpRequestError.ConnectionError),
            () => Task.FromResult(new HttpResponseMessage(HttpStatusCode.TooManyRequests)),
            () => Task.FromResult(new HttpResponseMessage(HttpStatusCode.Unauthorized)),
        };
        foreach (var later in laters)
        {
            var wire = new Wire((attempt, send) => attempt == 1 ? LoseAnswer(send) : later());
            await using var rig = await StripeRig.StartAsync(wire.Around);
            Assert.IsType<ProviderOutcome.Unknown>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
            Assert.Single(rig.Simulator.Payments());
        }
    }

    [Fact]
    public async Task A_cancellation_while_the_answer_is_awaited_is_unknown()
    {
        using var cancel = new CancellationTokenSource();
        var wire = new Wire(async (_, send) =>
        {
            var answer = await send();
            await cancel.CancelAsync();
            throw new OperationCanceledException(cancel.Token);
        });
        await using var rig = await StripeRig.StartAsync(wire.Around);
        Assert.IsType<ProviderOutcome.Unknown>(await rig.Provider.CreateAsync(Charge("tok_visa"), cancel.Token));
        Assert.Single(rig.Simulator.Payments());
    }

    public static TheoryData<string, string> Troubles { get; } = new()
    {
        { "no name", nameof(ProviderOutcome.NotAttempted) },
        { "no TLS", nameof(ProviderOutcome.NotAttempted) },
        { "no connection in time", nameof(ProviderOutcome.NotAttempted) },
        { "reset", nameof(ProviderOutcome.Unknown) },
        { "page of a proxy", nameof(ProviderOutcome.Unknown) },
        { "bad gateway", nameof(ProviderOutcome.Unknown) },
        { "JSON of another kind", nameof(ProviderOutcome.Unknown) },
        { "null", nameof(ProviderOutcome.Unknown) },
        { "error that is a list", nameof(ProviderOutcome.Unknown) },
        { "redirect", nameof(ProviderOutcome.Unknown) },
    };

    [Theory]
    [MemberData(nameof(Troubles))]
    public async Task Trouble_on_the_way_is_an_outcome_and_never_an_exception(string trouble, string expected)
    {
        var wire = new Wire((_, _) => trouble switch
        {
            "no name" => throw new HttpRequestException(HttpRequestError.NameResolutionError),
            "no TLS" => throw new HttpRequestException(HttpRequestError.SecureConnectionError),
            "no connection in time" => throw new TaskCanceledException("", new TimeoutException()),
            "reset" => throw new HttpRequestException("reset", new IOException()),
            "page of a proxy" => Says(HttpStatusCode.OK, "<html>Welcome</html>"),
            "bad gateway" => Says(HttpStatusCode.BadGateway, "<html>502</html>"),
            "JSON of another kind" => Says(HttpStatusCode.OK, """{"object":"charge","id":7}"""),
            "null" => Says(HttpStatusCode.OK, "null"),
            "error that is a list" => Says(HttpStatusCode.BadRequest, "[]"),
            _ => Says(HttpStatusCode.Redirect, ""),
        });
        await using var rig = await StripeRig.StartAsync(wire.Around);
        Assert.Equal(expected, (await rig.Provider.CreateAsync(Charge("tok_visa"), None)).GetType().Name);
    }

    [Fact]
    public async Task The_circuit_opens_when_Stripe_is_gone_and_closes_when_a_probe_succeeds()
    {
        var broken = true;
        var wire = new Wire((_, send) => broken ? throw new HttpRequestException(HttpRequestError.ConnectionError) : send());
        await using var rig = await StripeRig.StartAsync(wire.Around);
        for (var i = 0; i < 20; i++) Assert.IsType<ProviderOutcome.NotAttempted>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
        var sent = wire.Sent.Count;

        broken = false;
        var refused = Assert.IsType<ProviderOutcome.NotAttempted>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
        Assert.Equal("circuit open", refused.Reason);
        Assert.Equal(sent, wire.Sent.Count);
        // The other mode has a circuit of its own.
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa") with { Mode = Mode.Live }, None));

        rig.Time.Advance(TimeSpan.FromSeconds(1.1));
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
    }

    [Fact]
    public async Task Refusals_do_not_open_the_circuit()
    {
        await using var rig = await StripeRig.StartAsync();
        for (var i = 0; i < 25; i++) Assert.IsType<ProviderOutcome.Refused>(await rig.Provider.CreateAsync(Charge("tok_declined"), None));
        for (var i = 0; i < 25; i++) Assert.IsType<ProviderOutcome.NotAttempted>(await rig.Provider.CreateAsync(Charge("tok_provider_busy"), None));
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(Charge("tok_visa"), None));
    }

    [Fact]
    public async Task A_charge_is_found_among_more_payments_than_a_page_holds_and_only_around_its_time()
    {
        await using var rig = await StripeRig.StartAsync();
        var first = Charge("tok_visa");
        await rig.Provider.CreateAsync(first, None);
        var sent = rig.Time.GetUtcNow();
        await Task.WhenAll(Enumerable.Range(0, 230).Select(_ => rig.Provider.CreateAsync(Charge("tok_visa"), None)));
        rig.Time.Advance(TimeSpan.FromMinutes(5));
        await rig.Provider.CreateAsync(Charge("tok_visa"), None);

        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.FindAsync(new(first.Charge, Mode.Test, null, sent, sent.AddMinutes(15), "r"), None));
        // The payment landed a while after it was sent, and is still looked for.
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.FindAsync(new(first.Charge, Mode.Test, null, sent.AddMinutes(-14), sent.AddMinutes(-14).AddMinutes(15), "r"), None));
        Assert.IsType<ProviderOutcome.Absent>(await rig.Provider.FindAsync(new(first.Charge, Mode.Test, null, sent.AddMinutes(-16), sent.AddMinutes(-16).AddMinutes(15), "r"), None));
        Assert.IsType<ProviderOutcome.Absent>(await rig.Provider.FindAsync(new("ch_never", Mode.Test, null, sent, sent.AddMinutes(15), "r"), None));
    }

    [Fact]
    public async Task Every_call_is_measured()
    {
        var measured = new ConcurrentQueue<string>();
        await using var rig = await StripeRig.StartAsync();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Name == "harbour.provider.duration" && instrument.Meter.Scope == rig.Meters) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<double>((_, seconds, tags, _) =>
        {
            Assert.InRange(seconds, 0, 60);
            measured.Enqueue(string.Join(' ', tags.ToArray().Select(tag => tag.Value)));
        });
        listener.Start();

        await rig.Provider.CreateAsync(Charge("tok_visa"), None);
        await rig.Provider.CreateAsync(Charge("tok_declined"), None);
        await rig.Provider.FindRefundAsync(new("re_1", Mode.Test, "pi_none", "r"), None);
        Assert.Equal(["stripe create known", "stripe create refused", "stripe find_refund absent"], measured);
    }

    private static ProviderCharge Charge(string token) => new(
        $"ch_{Interlocked.Increment(ref made):D26}", Mode.Test, new Money(12800, Currency.HKD), "card", token, true, ThreeDSecureRequest.Automatic, "mch_one", null, null, "req-test");

    private static async Task<string> CustomerAsync(StripeRig rig) => Assert.IsType<ProviderOutcome.KnownCustomer>(
        await rig.Provider.CreateCustomerAsync(new("cus_one", Mode.Test, "mch_one", "r"), None)).Reference;

    private static async Task<ProviderPayment> AuthorizeAsync(StripeRig rig, long amount)
    {
        var charge = Charge("tok_visa") with { Amount = new Money(amount, Currency.HKD), CaptureNow = false };
        return Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CreateAsync(charge, None)).Payment;
    }

    private static async Task<(ProviderStatus, long)> CaptureAsync(StripeRig rig, ProviderPayment payment, string key, long amount, bool final)
    {
        var outcome = await rig.Provider.CaptureAsync(new(key, Mode.Test, payment.Reference, new Money(amount, Currency.HKD), final, "r"), None);
        var after = Assert.IsType<ProviderOutcome.Known>(outcome).Payment;
        return (after.Status, after.Captured.Minor);
    }

    private static async Task<ProviderStatus> CancelAsync(StripeRig rig, ProviderPayment payment, string key) =>
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.CancelAsync(new(key, Mode.Test, payment.Reference, "r"), None)).Payment.Status;

    private static Task<ProviderOutcome> RefundAsync(StripeRig rig, ProviderPayment payment, string refund, long amount) =>
        rig.Provider.RefundAsync(new(refund, Mode.Test, payment.Reference, new Money(amount, Currency.HKD), null, "r"), None);

    private static async Task<ProviderPayment> FindAsync(StripeRig rig, ProviderCharge charge, string reference) =>
        Assert.IsType<ProviderOutcome.Known>(await rig.Provider.FindAsync(new(charge.Charge, charge.Mode, reference, rig.Time.GetUtcNow(), rig.Time.GetUtcNow().AddMinutes(15), "r"), None)).Payment;

    private static async Task<HttpResponseMessage> LoseAnswer(Func<Task<HttpResponseMessage>> send)
    {
        (await send()).Dispose();
        throw new HttpRequestException("reset", new IOException());
    }

    private static Task<HttpResponseMessage> Says(HttpStatusCode status, string body) =>
        Task.FromResult(new HttpResponseMessage(status) { Content = new StringContent(body) });

    private sealed record Sent(string? RequestId, string? Key, string? Authorization, string? Version);

    /// <summary>Sees what passes over the connection, and disturbs it as a test says.</summary>
    private sealed class Wire(Func<int, Func<Task<HttpResponseMessage>>, Task<HttpResponseMessage>>? disturb = null)
    {
        public ConcurrentQueue<Sent> Sent { get; } = [];

        public HttpMessageHandler Around(HttpMessageHandler inner) => new Handler(this, inner);

        private sealed class Handler(Wire wire, HttpMessageHandler inner) : DelegatingHandler(inner)
        {
            protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                wire.Sent.Enqueue(new(One("X-Request-ID"), One("Idempotency-Key"), request.Headers.Authorization?.ToString(), One("Stripe-Version")));
                return wire.Disturbed(() => base.SendAsync(request, cancellationToken));

                string? One(string name) => request.Headers.TryGetValues(name, out var values) ? values.Single() : null;
            }
        }

        private Task<HttpResponseMessage> Disturbed(Func<Task<HttpResponseMessage>> send) => disturb is null ? send() : disturb(Sent.Count, send);
    }
}
