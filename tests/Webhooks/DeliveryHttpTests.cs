using System.Text.Json.Nodes;
using Azure.Messaging.ServiceBus;
using Harbour.Foundation;
using Harbour.Sandbox;
using Harbour.Tests.Sandbox;
using Harbour.Webhooks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Webhooks;

/// <summary>Events on their way to a merchant's server: over real HTTP, through the bus, by the movable clock.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class DeliveryHttpTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private Receiver receiver = null!;
    private SandboxHost host = null!;
    private HttpClient http = null!;
    private Api api = null!;

    public async Task InitializeAsync()
    {
        receiver = await Receiver.StartAsync();
        host = await sandbox.StartHostAsync(new SandboxOptions
        {
            Configure = builder => builder.Configuration.AddInMemoryCollection([new("Webhooks:TimeoutSeconds", "1.5")]),
        });
        http = new HttpClient { BaseAddress = host.BaseAddress };
        api = new Api(http);
    }

    public async Task DisposeAsync()
    {
        http.Dispose();
        await host.DisposeAsync();
        await receiver.DisposeAsync();
    }

    [Fact]
    public async Task An_event_arrives_once_signed_and_byte_for_byte()
    {
        var endpoint = await EndpointAsync();
        var charge = await api.PostAsync("/v1/charges", Api.Charge(reference: "訂單"), null, ("X-Request-ID", "till-7"));
        var received = await ArrivedAsync(r => r.ObjectId == charge.Id);

        Assert.Equal(("charge.succeeded", "till-7", "till-7"), (received.Type, received.Headers["X-Request-ID"], received.Body["request_id"]!.GetValue<string>()));
        Assert.Equal([received.SignatureWith(Secret(endpoint))], received.Signatures);
        Assert.InRange(long.Parse(received.Timestamp), host.Clock.GetUtcNow().ToUnixTimeSeconds() - 60, host.Clock.GetUtcNow().ToUnixTimeSeconds());
        Assert.True(JsonNode.DeepEquals(charge.Body, received.Body["data"]!["object"]));
        Assert.Equal((await api.GetAsync("/v1/events/" + received.Id)).Text, System.Text.Encoding.UTF8.GetString(received.Bytes));

        var delivery = await DeliveryAsync(received.Id, "delivered");
        Assert.Equal((endpoint.Id, received.Id), (delivery["endpoint"]!.GetValue<string>(), delivery["event"]!.GetValue<string>()));
        Assert.Equal((1, 200), (Attempts(delivery)[0]!["number"]!.GetValue<int>(), Attempts(delivery)[0]!["status_code"]!.GetValue<int>()));
        await api.AdvanceAsync("48:00:00");
        Assert.Single(receiver.All);
    }

    [Fact]
    public async Task Only_endpoints_that_asked_for_it_and_were_there_get_an_event()
    {
        await EndpointAsync("/wanted", "charge.*");
        await EndpointAsync("/refunds", "refund.succeeded");
        var disabled = await EndpointAsync("/disabled");
        await api.PostAsync("/v1/webhook_endpoints/" + disabled.Id, new { status = "disabled" });
        var charge = await api.ChargeAsync();
        await EndpointAsync("/later");
        var received = await ArrivedAsync(r => r.ObjectId == charge.Id);
        await api.PostAsync($"/v1/charges/{charge.Id}/refunds", null);
        await ArrivedAsync(r => r.Path == "/refunds");
        await ArrivedAsync(r => r.Path == "/later" && r.Type == "refund.succeeded");
        await api.AdvanceAsync("01:00:00");

        Assert.Equal("/wanted", received.Path);
        Assert.Single(receiver.All, r => r.Type == "charge.succeeded");
        Assert.Equal(["/later", "/refunds"], receiver.All.Where(r => r.Type == "refund.succeeded").Select(r => r.Path).Order());
        Assert.Single(Data(await api.GetAsync($"/v1/events/{received.Id}/deliveries")));
    }

    [Fact]
    public async Task A_failure_is_tried_again_under_the_same_id_and_signed_anew()
    {
        var endpoint = await EndpointAsync();
        receiver.AnswerWith(500, "out of order");
        var charge = await api.ChargeAsync();
        var first = await ArrivedAsync(r => r.ObjectId == charge.Id);
        var delivery = await DeliveryAsync(first.Id, "pending", attempts: 1);
        Assert.Equal(("status_500", "out of order"), (Attempts(delivery)[0]!["error"]!.GetValue<string>(), Attempts(delivery)[0]!["response_body"]!.GetValue<string>()));
        Assert.NotNull(delivery["next_attempt_at"]);

        receiver.AnswerWith(200);
        await api.AdvanceAsync("00:00:55");
        Assert.Single(receiver.All);
        await api.AdvanceAsync("00:00:12");
        Assert.Equal(2, receiver.All.Count);
        var second = receiver.All[1];
        Assert.Equal(first.Id, second.Id);
        Assert.Equal(first.Bytes, second.Bytes);
        Assert.True(long.Parse(second.Timestamp) - long.Parse(first.Timestamp) is >= 60 and < 70);
        Assert.Equal([second.SignatureWith(Secret(endpoint))], second.Signatures);
        Assert.NotEqual(first.Signatures, second.Signatures);
        delivery = await DeliveryAsync(first.Id, "delivered");
        Assert.Equal((2, null), (Attempts(delivery).Count, delivery["next_attempt_at"]?.GetValue<string>()));
    }

    [Fact]
    public async Task After_eight_failures_a_delivery_is_failed_and_can_be_sent_again()
    {
        await EndpointAsync();
        receiver.AnswerWith(503);
        await api.ChargeAsync();
        var received = await ArrivedAsync(_ => true);
        await api.AdvanceAsync("120:00:00");
        var delivery = await DeliveryAsync(received.Id, "failed");
        Assert.Equal(("attempts_exhausted", 8, null), (delivery["failure"]!.GetValue<string>(), Attempts(delivery).Count, delivery["next_attempt_at"]?.GetValue<string>()));
        Assert.Equal(8, receiver.All.Count);
        var waits = Attempts(delivery).Select(a => DateTimeOffset.Parse(a!["at"]!.GetValue<string>())).ToList();
        Assert.All(waits.Zip(waits.Skip(1)).Zip([1.0, 5, 30, 120, 360, 720, 1440]), pair =>
            Assert.InRange((pair.First.Second - pair.First.First).TotalMinutes, pair.Second, pair.Second * 1.1 + 0.2));

        receiver.AnswerWith(200);
        var again = await api.PostAsync($"/v1/events/{received.Id}/redeliver", null);
        Assert.Equal((202, "pending"), (again.Status, Data(again)[0]!["status"]!.GetValue<string>()));
        Assert.Equal(9, Attempts(await DeliveryAsync(received.Id, "delivered")).Count);
        Assert.Equal(received.Id, receiver.All[^1].Id);
    }

    [Fact]
    public async Task Sending_again_is_done_once_for_one_key_and_to_the_endpoint_that_is_named()
    {
        await EndpointAsync("/one");
        await api.ChargeAsync();
        var id = (await ArrivedAsync(_ => true)).Id;
        await DeliveryAsync(id, "delivered");
        var later = await EndpointAsync("/two");
        var off = await EndpointAsync("/three");
        await api.PostAsync("/v1/webhook_endpoints/" + off.Id, new { status = "disabled" });

        var key = Api.NewKey();
        var first = await api.PostAsync($"/v1/events/{id}/redeliver", new { endpoint = later.Id }, key);
        Assert.Equal((202, later.Id), (first.Status, Assert.Single(Data(first))!["endpoint"]!.GetValue<string>()));
        var replayed = await api.PostAsync($"/v1/events/{id}/redeliver", new { endpoint = later.Id }, key);
        Assert.Equal((202, first.Text, "true"), (replayed.Status, replayed.Text, replayed["Idempotent-Replayed"]));
        await ArrivedAsync(r => r.Path == "/two");

        Assert.Equal(2, Data(await api.PostAsync($"/v1/events/{id}/redeliver", null)).Count);
        await api.AdvanceAsync("00:10:00");
        Assert.Equal((2, 2, 0), (receiver.At("/one").Count, receiver.At("/two").Count, receiver.At("/three").Count));
        Assert.Single(receiver.All.Select(r => r.Id).Distinct());

        Assert.Equal((409, "invalid_transition"), Refusal(await api.PostAsync($"/v1/events/{id}/redeliver", new { endpoint = off.Id })));
        Assert.Equal((404, "webhook_endpoint_not_found"), Refusal(await api.PostAsync($"/v1/events/{id}/redeliver", new { endpoint = "whe_00000000000000000000000001" })));
        Assert.Equal((404, "event_not_found"), Refusal(await api.PostAsync("/v1/events/evt_00000000000000000000000001/redeliver", null)));
        Assert.Equal((404, "event_not_found"), Refusal(await new Api(http, Api.Other).PostAsync($"/v1/events/{id}/redeliver", null)));
    }

    [Fact]
    public async Task An_endpoint_that_hangs_delays_no_other()
    {
        await EndpointAsync("/hangs", "charge.*");
        await EndpointAsync("/works", "charge.*");
        receiver.Answer = (received, context) => received.Path == "/hangs"
            ? Task.WhenAny(Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted)) : Task.CompletedTask;
        const int Many = 12;
        var since = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Many).Select(_ => api.ChargeAsync()));
        await Eventually.True(() => receiver.At("/works").Count == Many, "all events at the endpoint that works");
        // To wait for the other one even with all its places in use would take Many / Places times the deadline.
        Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(1.5 * Many / Bulkhead.Places));
        Assert.InRange(receiver.At("/hangs").Count, 1, Bulkhead.Places + 2);

        receiver.Answer = (_, _) => Task.CompletedTask;
        await api.AdvanceAsync("01:00:00");
        Assert.Equal(Many, receiver.At("/hangs").Select(r => r.Id).Distinct().Count());
        foreach (var id in receiver.At("/hangs").Select(r => r.Id).Distinct())
            Assert.All(Data(await api.GetAsync($"/v1/events/{id}/deliveries")), d => Assert.Equal("delivered", d!["status"]!.GetValue<string>()));
    }

    [Fact]
    public async Task An_endpoint_that_is_gone_is_disabled_and_the_others_are_told()
    {
        var gone = await EndpointAsync("/gone");
        await EndpointAsync("/stays");
        receiver.Answer = (received, context) => Task.FromResult(context.Response.StatusCode = received.Path == "/gone" ? 410 : 200);
        await api.ChargeAsync();
        var told = await ArrivedAsync(r => r.Type == "account.webhook_endpoint_disabled");
        Assert.Equal(("/stays", gone.Id), (told.Path, told.ObjectId));
        Assert.DoesNotContain("whsec_", System.Text.Encoding.UTF8.GetString(told.Bytes));

        var endpoint = await api.GetAsync("/v1/webhook_endpoints/" + gone.Id);
        Assert.Equal(("disabled", "endpoint_gone"), (endpoint.State, endpoint.Body["disabled_reason"]!.GetValue<string>()));
        var deliveries = Data(await api.GetAsync($"/v1/events/{receiver.At("/gone")[0].Id}/deliveries"));
        Assert.Contains(deliveries, d => d!["status"]!.GetValue<string>() == "failed" && d["failure"]!.GetValue<string>() == "endpoint_gone");

        await api.ChargeAsync();
        await api.AdvanceAsync("48:00:00");
        Assert.Single(receiver.At("/gone"));
        Assert.Equal("enabled", (await api.PostAsync("/v1/webhook_endpoints/" + gone.Id, new { status = "enabled" })).State);
    }

    [Theory]
    [InlineData(false, "endpoint_disabled")]
    [InlineData(true, "endpoint_deleted")]
    public async Task What_is_pending_ends_with_its_endpoint(bool deleted, string failure)
    {
        var endpoint = await EndpointAsync();
        receiver.AnswerWith(500);
        await api.ChargeAsync();
        var id = (await ArrivedAsync(_ => true)).Id;
        await DeliveryAsync(id, "pending", attempts: 1);
        if (deleted) await api.SendAsync(HttpMethod.Delete, "/v1/webhook_endpoints/" + endpoint.Id, null);
        else await api.PostAsync("/v1/webhook_endpoints/" + endpoint.Id, new { status = "disabled" });
        await api.AdvanceAsync("00:02:00");
        var delivery = await DeliveryAsync(id, "failed");
        Assert.Equal((failure, 1), (delivery["failure"]!.GetValue<string>(), Attempts(delivery).Count));
        Assert.Single(receiver.All);
    }

    [Fact]
    public async Task While_a_secret_is_rolled_both_sign_the_newest_first()
    {
        var endpoint = await EndpointAsync();
        var rotated = await api.PostAsync($"/v1/webhook_endpoints/{endpoint.Id}/rotate_secret", new { expires_in = 3600 });
        Assert.NotNull(rotated.Body["previous_secret_until"]);
        var (before, after) = (Secret(endpoint), Secret(rotated));
        Assert.NotEqual(before, after);

        var first = await ChargedAsync();
        Assert.Equal([first.SignatureWith(after), first.SignatureWith(before)], first.Signatures);
        await api.AdvanceAsync("01:00:01");
        var second = await ChargedAsync();
        Assert.Equal([second.SignatureWith(after)], second.Signatures);

        var last = Secret(await api.PostAsync($"/v1/webhook_endpoints/{endpoint.Id}/rotate_secret", new { expires_in = 0 }));
        var third = await ChargedAsync();
        Assert.Equal([third.SignatureWith(last)], third.Signatures);
    }

    [Fact]
    public async Task A_message_that_comes_again_posts_nothing_again()
    {
        await EndpointAsync();
        receiver.AnswerWith(500);
        await api.ChargeAsync();
        var id = (await ArrivedAsync(_ => true)).Id;
        var delivery = await DeliveryAsync(id, "pending", attempts: 1);
        var (merchant, endpoint) = (Seed.Demo.Value, Id<WebhookEndpoint>.Parse(delivery["endpoint"]!.GetValue<string>()));
        var operations = host.Services.GetRequiredService<DeliveryOperations>();

        // As after a crash behind the record: the first turn again, and the whole fan-out. Neither posts, and both leave one row.
        await operations.DeliverAsync(new DeliveryMessage(merchant, Mode.Test, Id<Event>.Parse(id), endpoint, 1));
        await operations.FanOutAsync(new Book(merchant, Mode.Test), Id<Event>.Parse(id));
        Assert.Single(receiver.All);
        await api.AdvanceAsync("00:02:00");
        Assert.Equal(2, receiver.All.Count);
        delivery = await DeliveryAsync(id, "pending", attempts: 2);
        Assert.Equal(3, delivery["version"]!.GetValue<int>());
    }

    [Fact]
    public async Task The_next_attempt_is_scheduled_also_by_whoever_finds_that_it_was_not()
    {
        await EndpointAsync();
        receiver.AnswerWith(500);
        await api.ChargeAsync();
        var id = (await ArrivedAsync(_ => true)).Id;
        var delivery = await DeliveryAsync(id, "pending", attempts: 1);
        var endpoint = Id<WebhookEndpoint>.Parse(delivery["endpoint"]!.GetValue<string>());

        // The bus without the message that the record was to be followed by, then the same message once more.
        var sent = new List<ServiceBusMessage>();
        var bus = new Moq.Mock<ServiceBusClient>();
        var sender = new Moq.Mock<ServiceBusSender>();
        sender.Setup(s => s.SendMessageAsync(Moq.It.IsAny<ServiceBusMessage>(), Moq.It.IsAny<CancellationToken>())).Callback((ServiceBusMessage m, CancellationToken _) => sent.Add(m)).Returns(Task.CompletedTask);
        bus.Setup(b => b.CreateSender(DeliveryMessages.Queue)).Returns(sender.Object);
        var operations = ActivatorUtilities.CreateInstance<DeliveryOperations>(host.Services, new DeliveryMessages(bus.Object, host.Clock));
        await operations.DeliverAsync(new DeliveryMessage(Seed.Demo.Value, Mode.Test, Id<Event>.Parse(id), endpoint, 1));

        var next = Assert.Single(sent);
        Assert.Equal($"{delivery["id"]}:2", next.MessageId);
        Assert.Equal(DateTimeOffset.Parse(delivery["next_attempt_at"]!.GetValue<string>()), next.ScheduledEnqueueTime);
        Assert.Equal(2, Json.Parse<DeliveryMessage>(next.Body.ToString()).Turn);
    }

    [Fact]
    public async Task Work_that_fails_comes_again_for_half_a_day_before_it_is_set_aside()
    {
        var ids = host.Services.GetRequiredService<Ids>();
        var sender = host.Services.GetRequiredService<ServiceBusClient>().CreateSender(EventMessage.Queue);
        // An event that cannot be read, as when storage does not answer.
        await sender.SendMessageAsync(new ServiceBusMessage(BinaryData.FromBytes(Json.Bytes(new EventMessage(Seed.Demo.Value, Mode.Test, ids.New<Event>())))) { MessageId = "lost" });
        await api.AdvanceAsync("06:00:00");
        Assert.Empty(await SetAsideAsync());
        await api.AdvanceAsync("12:00:00");
        Assert.Single(await SetAsideAsync());

        async Task<JsonArray> SetAsideAsync() => (await api.GetAsync($"/sandbox/bus/{EventMessage.Queue}/dead_letters")).Body["data"]!.AsArray();
    }

    [Fact]
    public async Task In_live_mode_a_name_of_our_own_network_is_never_connected_to()
    {
        await using var other = await sandbox.StartHostAsync(new SandboxOptions
        {
            Configure = builder => builder.Services.AddSingleton<ResolveHost>((_, _) => Task.FromResult(new[] { System.Net.IPAddress.Loopback })),
        });
        using var client = new HttpClient { BaseAddress = other.BaseAddress };
        var live = new Api(client, Api.Live);
        var endpoint = await live.PostAsync("/v1/webhook_endpoints", new { url = "https://shop.example/hook", events = new[] { "*" } });
        Assert.Equal(201, endpoint.Status);
        var charge = await live.ChargeAsync();
        Assert.Equal(201, charge.Status);
        JsonNode? attempt = null;
        await Eventually.True(async () =>
        {
            var events = Data(await live.GetAsync("/v1/events"));
            var deliveries = events.Count == 0 ? [] : Data(await live.GetAsync($"/v1/events/{events[0]!["id"]}/deliveries"));
            attempt = deliveries.Count == 0 ? null : Attempts(deliveries[0]!).FirstOrDefault();
            return attempt is not null;
        }, "an attempt in live mode");
        Assert.Equal(("address_refused", null), (attempt!["error"]!.GetValue<string>(), attempt["status_code"]?.GetValue<int>()));
    }

    [Fact]
    public async Task A_redirect_is_a_failure_and_is_not_followed()
    {
        await EndpointAsync();
        receiver.Answer = (_, context) =>
        {
            context.Response.Redirect(receiver.Url("/elsewhere"));
            return Task.CompletedTask;
        };
        await api.ChargeAsync();
        var delivery = await DeliveryAsync((await ArrivedAsync(_ => true)).Id, "pending", attempts: 1);
        Assert.Equal("status_302", Attempts(delivery)[0]!["error"]!.GetValue<string>());
        Assert.Empty(receiver.At("/elsewhere"));
    }

    [Fact]
    public async Task Events_are_listed_newest_first_and_filtered()
    {
        var charge = await api.ChargeAsync();
        await api.AdvanceAsync("00:00:10");
        var between = HongKong.Format(host.Clock.GetUtcNow());
        await api.AdvanceAsync("00:00:10");
        await api.PostAsync($"/v1/charges/{charge.Id}/refunds", new { amount = 100 });
        await api.ChargeAsync(Api.Charge("tok_declined"));

        Assert.Equal(["charge.failed", "refund.succeeded", "charge.succeeded"], await TypesAsync(""));
        Assert.Equal(["charge.failed", "charge.succeeded"], await TypesAsync("?type=charge.*"));
        Assert.Equal(["refund.succeeded"], await TypesAsync("?type=refund.succeeded"));
        Assert.Equal(["charge.failed", "refund.succeeded"], await TypesAsync("?created_after=" + Uri.EscapeDataString(between)));
        Assert.Equal(["charge.succeeded"], await TypesAsync("?created_before=" + Uri.EscapeDataString(between)));
        var page = await api.GetAsync("/v1/events?limit=2");
        Assert.Equal(["charge.succeeded"], await TypesAsync("?limit=2&cursor=" + page.Body["next_cursor"]));
        Assert.Equal((422, "event_type_unknown"), Refusal(await api.GetAsync("/v1/events?type=unicorn")));
        Assert.Equal((404, "event_not_found"), Refusal(await new Api(http, Api.Live).GetAsync("/v1/events/" + Data(page)[0]!["id"])));
    }

    private async Task<ApiAnswer> EndpointAsync(string path = "/hook", params string[] events)
    {
        var made = await api.PostAsync("/v1/webhook_endpoints", new { url = receiver.Url(path), events = events.Length > 0 ? events : ["*"] });
        Assert.True(made.Status == 201, made.Text);
        return made;
    }

    private async Task<Received> ChargedAsync()
    {
        var charge = await api.ChargeAsync();
        return await ArrivedAsync(r => r.ObjectId == charge.Id);
    }

    private async Task<Received> ArrivedAsync(Func<Received, bool> expected)
    {
        await Eventually.True(() => receiver.All.Any(expected), "an event at the receiver");
        return receiver.All.First(expected);
    }

    /// <summary>The one delivery of an event, once it has come so far.</summary>
    private async Task<JsonNode> DeliveryAsync(string id, string status, int attempts = 0)
    {
        JsonNode? delivery = null;
        await Eventually.True(async () =>
        {
            delivery = Data(await api.GetAsync($"/v1/events/{id}/deliveries")).SingleOrDefault();
            return delivery is not null && delivery["status"]!.GetValue<string>() == status && Attempts(delivery).Count >= attempts;
        }, $"a delivery that is {status}");
        return delivery!;
    }

    private async Task<IEnumerable<string>> TypesAsync(string query) => Data(await api.GetAsync("/v1/events" + query)).Select(e => e!["type"]!.GetValue<string>());

    private static JsonArray Data(ApiAnswer answer) => answer.Body["data"]!.AsArray();

    private static JsonArray Attempts(JsonNode delivery) => delivery["attempts"]!.AsArray();

    private static string Secret(ApiAnswer answer) => answer.Body["secret"]!.GetValue<string>();

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
