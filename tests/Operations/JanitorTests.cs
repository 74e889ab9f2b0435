using System.Net;
using Harbour.Providers.Stripe;
using Harbour.Sandbox;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Operations;

[Collection(nameof(UsesSandbox))]
public sealed class JanitorTests(SandboxFixture sandbox) : OwnHost(sandbox)
{
    private readonly SandboxFixture sandbox = sandbox;
    private readonly Wire wire = new();

    protected override SandboxOptions Options => new()
    {
        Configure = builder =>
        {
            builder.Services.AddSingleton<StripeWire>(inner => { wire.InnerHandler = inner; return wire; });
            builder.Configuration.AddInMemoryCollection([new("Stripe:TimeoutSeconds", "0.5")]);
        },
    };

    [Theory]
    [InlineData("tok_timeout", "succeeded", 12194)]
    [InlineData("tok_timeout_not_charged", "failed", 0)]
    [InlineData("tok_provider_error", "succeeded", 12194)]
    public async Task An_unknown_outcome_is_202_and_resolves_by_itself(string token, string final, long available)
    {
        var key = Api.NewKey();
        var first = await Shop.ChargeAsync(Api.Charge(token), key);
        Assert.Equal((202, "unknown"), (first.Status, first.State));
        Assert.Equal(0, await Shop.AvailableAsync());

        await Shop.AdvanceAsync("02:00:00");
        var charge = await Shop.GetAsync("/v1/charges/" + first.Id);
        Assert.Equal(final, charge.State);
        Assert.Equal(available, await Shop.AvailableAsync());
        var again = await Shop.ChargeAsync(Api.Charge(token), key);
        Assert.Equal(final == "succeeded" ? 201 : 402, again.Status);
        Assert.Equal("true", again["Idempotent-Replayed"]);
        if (final == "failed") Assert.Equal("not_processed", charge.Body["failure"]!["code"]!.GetValue<string>());
        Assert.Equal(final == "succeeded" ? 1 : 0, Host.Stripe!.Payments().Count(p => p.Charge == first.Id));
    }

    [Fact]
    public async Task Absence_says_nothing_before_the_fifteenth_minute()
    {
        var id = (await Shop.ChargeAsync(Api.Charge("tok_timeout_not_charged"))).Id;
        await Shop.AdvanceAsync("00:14:00");
        Assert.Equal("unknown", (await Shop.GetAsync("/v1/charges/" + id)).State);
        await Shop.AdvanceAsync("00:01:30");
        Assert.Equal("failed", (await Shop.GetAsync("/v1/charges/" + id)).State);
    }

    [Fact]
    public async Task A_retry_while_the_outcome_is_unknown_asks_and_never_pays_again()
    {
        var (found, missing) = (Api.NewKey(), Api.NewKey());
        var first = await Shop.ChargeAsync(Api.Charge("tok_timeout"), found);
        Assert.Equal((201, first.Id), await Summary(Shop.ChargeAsync(Api.Charge("tok_timeout"), found)));
        var second = await Shop.ChargeAsync(Api.Charge("tok_timeout_not_charged"), missing);
        Assert.Equal((202, second.Id), await Summary(Shop.ChargeAsync(Api.Charge("tok_timeout_not_charged"), missing)));
        Assert.Single(Host.Stripe!.Payments());
        Assert.Equal(12194, await Shop.AvailableAsync());
    }

    [Fact]
    public async Task A_payment_that_lands_after_it_was_given_up_is_reversed_at_the_provider()
    {
        wire.Hold = request => request.Method == HttpMethod.Post && request.RequestUri!.AbsolutePath == "/v1/payment_intents";
        var id = (await Shop.ChargeAsync()).Id;
        wire.Hold = _ => false;
        await Shop.AdvanceAsync("00:16:00");
        Assert.Equal("failed", (await Shop.GetAsync("/v1/charges/" + id)).State);

        await wire.ReleaseAsync();
        Assert.Equal((12800, 0), Taken(id));
        await Shop.AdvanceAsync("01:00:00");
        Assert.Equal((12800, 12800), Taken(id));
        Assert.Equal("failed", (await Shop.GetAsync("/v1/charges/" + id)).State);
        Assert.Equal(0, await Shop.AvailableAsync());
    }

    [Fact]
    public async Task A_capture_whose_answer_is_lost_is_found()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        wire.LoseAnswer = request => request.RequestUri!.AbsolutePath.EndsWith("/capture", StringComparison.Ordinal);
        var key = Api.NewKey();
        var first = await Shop.PostAsync($"/v1/charges/{id}/capture", null, key);
        Assert.Equal((202, "authorized"), (first.Status, first.State));
        Assert.Equal((409, "concurrent_update"), Refusal(await Shop.PostAsync($"/v1/charges/{id}/cancel", null)));
        wire.LoseAnswer = _ => false;
        await Shop.AdvanceAsync("00:02:00");
        Assert.Equal("succeeded", (await Shop.GetAsync("/v1/charges/" + id)).State);
        Assert.Equal(12194, await Shop.AvailableAsync());
        var again = await Shop.PostAsync($"/v1/charges/{id}/capture", null, key);
        Assert.Equal((201, "true", "succeeded"), (again.Status, again["Idempotent-Replayed"], again.State));
    }

    [Fact]
    public async Task A_capture_that_never_arrived_is_given_up_and_can_be_made_again()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        wire.Hold = request => request.RequestUri!.AbsolutePath.EndsWith("/capture", StringComparison.Ordinal);
        var key = Api.NewKey();
        Assert.Equal(202, (await Shop.PostAsync($"/v1/charges/{id}/capture", null, key)).Status);
        wire.Hold = _ => false;
        await Shop.AdvanceAsync("00:16:00");
        Assert.Equal((402, "not_processed"), Refusal(await Shop.PostAsync($"/v1/charges/{id}/capture", null, key)));
        Assert.Equal((201, "succeeded"), await State(Shop.PostAsync($"/v1/charges/{id}/capture", null)));
        Assert.Equal((12800, 0), Taken(id));
    }

    [Fact]
    public async Task A_capture_that_lands_after_it_was_given_up_is_booked()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        wire.Hold = request => request.RequestUri!.AbsolutePath.EndsWith("/capture", StringComparison.Ordinal);
        await Shop.PostAsync($"/v1/charges/{id}/capture", null);
        wire.Hold = _ => false;
        await Shop.AdvanceAsync("00:16:00");
        await wire.ReleaseAsync();
        await Shop.AdvanceAsync("01:00:00");
        Assert.Equal("succeeded", (await Shop.GetAsync("/v1/charges/" + id)).State);
        Assert.Equal(12194, await Shop.AvailableAsync());
    }

    [Theory]
    [InlineData(true, "succeeded", 11194)]
    [InlineData(false, "failed", 12194)]
    public async Task A_refund_whose_answer_is_lost_is_found_or_given_back(bool arrives, string final, long available)
    {
        var id = (await Shop.ChargeAsync()).Id;
        bool Refunds(HttpRequestMessage request) => request.Method == HttpMethod.Post && request.RequestUri!.AbsolutePath == "/v1/refunds";
        if (arrives) wire.LoseAnswer = Refunds;
        else wire.Hold = Refunds;
        var key = Api.NewKey();
        var first = await Shop.PostAsync($"/v1/charges/{id}/refunds", new { amount = 1000 }, key);
        Assert.Equal((202, "unknown"), (first.Status, first.State));
        Assert.Equal(11194, await Shop.AvailableAsync());
        (wire.LoseAnswer, wire.Hold) = (_ => false, _ => false);

        await Shop.AdvanceAsync("02:00:00");
        Assert.Equal(final, (await Shop.GetAsync("/v1/refunds/" + first.Id)).State);
        Assert.Equal(available, await Shop.AvailableAsync());
        Assert.Equal(arrives ? 1000 : 0, (await Shop.GetAsync("/v1/charges/" + id)).Body["amount_refunded"]!.GetValue<long>());
        Assert.Equal(arrives ? 201 : 402, (await Shop.PostAsync($"/v1/charges/{id}/refunds", new { amount = 1000 }, key)).Status);
    }

    [Fact]
    public async Task A_refund_that_lands_after_it_was_given_up_is_booked()
    {
        var id = (await Shop.ChargeAsync()).Id;
        wire.Hold = request => request.Method == HttpMethod.Post && request.RequestUri!.AbsolutePath == "/v1/refunds";
        var refund = (await Shop.PostAsync($"/v1/charges/{id}/refunds", new { amount = 1000 })).Id;
        wire.Hold = _ => false;
        await Shop.AdvanceAsync("00:16:00");
        Assert.Equal("failed", (await Shop.GetAsync("/v1/refunds/" + refund)).State);
        await wire.ReleaseAsync();
        await Shop.AdvanceAsync("01:00:00");
        Assert.Equal("succeeded", (await Shop.GetAsync("/v1/refunds/" + refund)).State);
        Assert.Equal(11194, await Shop.AvailableAsync());
        Assert.Equal((12800, 1000), Taken(id));
    }

    [Fact]
    public async Task Nothing_stays_open_and_no_marker_stays_for_ever()
    {
        await Shop.ChargeAsync(Api.Charge("tok_timeout"));
        await Shop.ChargeAsync(Api.Charge("tok_timeout_not_charged"));
        await Shop.AdvanceAsync("24:00:00");
        var janitor = Host.Services.GetRequiredService<Harbour.Operations.Janitor>();
        Assert.Null(await janitor.NextDueAsync(default));
        Assert.Empty(await Host.Services.GetRequiredService<Harbour.Foundation.ActivityMarkers>().ReadAsync(DateTimeOffset.MaxValue));
    }

    [Fact]
    public async Task What_another_host_has_just_left_open_is_looked_at_in_its_own_time()
    {
        await using var other = await sandbox.StartHostAsync(new SandboxOptions { Storage = Host.StorageConnectionString, Role = SandboxRole.Http });
        using var http = new HttpClient { BaseAddress = other.BaseAddress };
        await Shop.AdvanceAsync("00:00:01");
        var id = (await new Api(http).ChargeAsync(Api.Charge("tok_provider_error"))).Id;
        await Shop.AdvanceAsync("00:10:00");

        var charge = (await Shop.GetAsync("/v1/charges/" + id)).Body;
        Assert.Equal("succeeded", charge["status"]!.GetValue<string>());
        Assert.InRange(charge["updated_at"]!.GetValue<DateTimeOffset>() - charge["created_at"]!.GetValue<DateTimeOffset>(), TimeSpan.FromSeconds(59), TimeSpan.FromSeconds(75));
    }

    private (long Captured, long Refunded) Taken(string charge)
    {
        var payment = Assert.Single(Host.Stripe!.Payments(), p => p.Charge == charge);
        return (payment.AmountCaptured, payment.AmountRefunded);
    }

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);

    private static async Task<(int, string)> Summary(Task<ApiAnswer> asking) => ((await asking).Status, (await asking).Id);

    private static async Task<(int, string)> State(Task<ApiAnswer> asking) => ((await asking).Status, (await asking).State);

    /// <summary>The wire to the provider: it can hold a request back until later, as a slow network does, or lose an answer.</summary>
    private sealed class Wire : DelegatingHandler
    {
        private readonly List<HttpRequestMessage> held = [];

        public Func<HttpRequestMessage, bool> Hold { get; set; } = _ => false;
        public Func<HttpRequestMessage, bool> LoseAnswer { get; set; } = _ => false;

        public async Task ReleaseAsync()
        {
            foreach (var request in held)
            {
                using var answer = await base.SendAsync(request, CancellationToken.None);
                Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            }
        }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (Hold(request))
            {
                held.Add(await CopyAsync(request));
                throw new OperationCanceledException("No answer in time.");
            }

            if (!LoseAnswer(request)) return await base.SendAsync(request, cancellationToken);
            using var answer = await base.SendAsync(request, cancellationToken);
            throw new OperationCanceledException("No answer in time.");
        }

        private static async Task<HttpRequestMessage> CopyAsync(HttpRequestMessage request)
        {
            var copy = new HttpRequestMessage(request.Method, request.RequestUri) { Content = new ByteArrayContent(await request.Content!.ReadAsByteArrayAsync()) };
            copy.Content.Headers.ContentType = request.Content.Headers.ContentType;
            foreach (var header in request.Headers) copy.Headers.TryAddWithoutValidation(header.Key, header.Value);
            return copy;
        }
    }
}
