using System.Reflection;
using System.Text.Json.Nodes;
using Azure;
using Azure.Data.Tables;
using Azure.Messaging.ServiceBus;
using Harbour.Foundation;
using Harbour.Sandbox;
using Harbour.Tests.Sandbox;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Moq;

namespace Harbour.Tests.Foundation;

/// <summary>Every event that is committed reaches the queue, whatever fails between the commit and the bus.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class OutboxTests(SandboxFixture sandbox)
{
    private static readonly Book Demo = new(Seed.Demo.Value, Mode.Test);

    private readonly Probe probe = new();
    private readonly string storage = sandbox.NewStorage();

    [Fact]
    public async Task Each_event_reaches_the_queue_once_when_nothing_fails()
    {
        await using var host = await sandbox.StartHostAsync(Options());
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var (shop, other) = (new Api(http), new Api(http, Api.Other));
        var charge = await shop.ChargeAsync();
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => shop.ChargeAsync()).Append(other.ChargeAsync()).Append(shop.PostAsync($"/v1/charges/{charge.Id}/refunds", new { amount = 100 })));

        // The advance waits for the pump and for what it brings about; no test has to.
        await shop.AdvanceAsync("00:00:01");
        var events = await EventsAsync();
        Assert.Equal(13, events.Count);
        Assert.Equal(events.Order(), Delivered());
        await shop.AdvanceAsync("01:00:00");
        Assert.Equal(events.Order(), Delivered());
        Assert.Empty(await PointersAsync());

        var message = probe.Messages.Select(m => m.Message).Single(m => m.CorrelationId == charge["X-Request-ID"]);
        Assert.Equal(("charge.succeeded", "application/json"), (message.Subject, message.ContentType));
        var body = JsonNode.Parse(message.Body.ToString())!;
        Assert.Equal((Seed.Demo.Value, "test", message.MessageId), (body["merchant"]!.GetValue<string>(), body["mode"]!.GetValue<string>(), body["event"]!.GetValue<string>()));
    }

    [Fact]
    public async Task Without_the_pump_the_sweeper_sends()
    {
        await using var host = await sandbox.StartHostAsync(Options(pump: false));
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var api = new Api(http);
        for (var i = 0; i < 2; i++)
        {
            // The second time the sweeper goes by the markers.
            await api.ChargeAsync();
            await api.AdvanceAsync("00:00:30");
            Assert.Equal(i + 1, Delivered().Count);
        }

        Assert.Equal((await EventsAsync()).Order(), Delivered());
        Assert.Empty(await PointersAsync());
    }

    [Fact]
    public async Task The_events_of_a_second_worker_are_swept_by_the_first()
    {
        await using var host = await sandbox.StartHostAsync(Options());
        await using var second = await sandbox.StartHostAsync(Options() with { Role = SandboxRole.Http });
        using var http = new HttpClient { BaseAddress = second.BaseAddress };
        using var first = new HttpClient { BaseAddress = host.BaseAddress };
        await new Api(first).AdvanceAsync("00:01:00");
        await new Api(http).ChargeAsync();
        await new Api(first).AdvanceAsync("00:01:00");
        Assert.Equal(await EventsAsync(), Delivered());
    }

    [Fact]
    public async Task What_a_killed_worker_left_is_sent_at_the_next_start_even_without_a_marker()
    {
        await using (var host = await sandbox.StartHostAsync(Options(pump: false, sweeper: false)))
        {
            using var http = new HttpClient { BaseAddress = host.BaseAddress };
            await new Api(http).ChargeAsync();
            await new Api(http, Api.Other).ChargeAsync();
        }

        // As earlier versions left it: pointers that are nothing but their keys, and markers that went without asking.
        var books = new TableClient(storage, Books.Table);
        foreach (var pointer in await PointersAsync()) await books.UpdateEntityAsync(new TableEntity(pointer.PartitionKey, pointer.RowKey), ETag.All, TableUpdateMode.Replace);
        await new TableClient(storage, ActivityMarkers.Table).DeleteAsync();

        await using var again = await sandbox.StartHostAsync(Options());
        using var client = new HttpClient { BaseAddress = again.BaseAddress };
        await new Api(client).AdvanceAsync("00:00:30");
        Assert.Equal((await EventsAsync()).Order(), Delivered());
        Assert.All(probe.Messages, m => Assert.Equal("charge.succeeded", m.Message.Subject));
        Assert.All(probe.Messages, m => Assert.StartsWith("req_", m.Message.CorrelationId, StringComparison.Ordinal));
        Assert.Empty(await PointersAsync());
    }

    [Fact]
    public async Task While_the_bus_fails_charges_go_on_and_no_marker_goes_and_then_all_is_sent()
    {
        var bus = new FailingBus { IsDown = true };
        await using var host = await sandbox.StartHostAsync(Options(bus: bus.Client));
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var api = new Api(http);
        for (var i = 0; i < 3; i++) Assert.Equal(201, (await api.ChargeAsync()).Status);
        await api.AdvanceAsync("24:00:00");
        Assert.Equal(3, (await PointersAsync()).Count);
        var markers = host.Services.GetRequiredService<ActivityMarkers>();
        Assert.Contains(await markers.ReadAsync(DateTimeOffset.MaxValue), mark => mark.Book == Demo);

        bus.IsDown = false;
        await api.AdvanceAsync("24:00:00");
        Assert.Equal((await EventsAsync()).Order(), bus.Taken.Order());
        Assert.Empty(await PointersAsync());
        Assert.Empty(await markers.ReadAsync(DateTimeOffset.MaxValue));
    }

    [Fact]
    public async Task A_pointer_that_somebody_else_took_away_does_not_keep_the_others()
    {
        var bus = new FailingBus();
        await using var host = await sandbox.StartHostAsync(Options(pump: false, sweeper: false, bus: bus.Client));
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        for (var i = 0; i < 3; i++) await new Api(http).ChargeAsync();
        var outbox = host.Services.GetRequiredService<Outbox>();
        var pointers = await outbox.ReadAsync(Demo, host.Clock.GetUtcNow().AddSeconds(1), default).ToListAsync();
        Assert.Equal(3, pointers.Count);
        await new TableClient(storage, Books.Table).DeleteEntityAsync(Demo.Partition, OutboxPointer.RowOf(pointers[1].Key));

        Assert.True(await outbox.HasPointersAsync(Demo));
        await outbox.SendAsync(pointers, "test", default);
        Assert.False(await outbox.HasPointersAsync(Demo));
    }

    [Fact]
    public async Task A_full_pump_leaves_the_rest_and_delays_nobody()
    {
        var configuration = new ConfigurationBuilder().Build();
        var outbox = new Outbox(new Storage(configuration), new FailingBus { IsDown = true }.Client, TimeProvider.System, NullLogger<Outbox>.Instance);
        using var pump = new OutboxPump(outbox, configuration, NullLogger<OutboxPump>.Instance);
        var pointer = new OutboxPointer(Demo, new string('0', Sortable.KeyLength), "charge.succeeded", "req_1");

        pump.Offer([.. Enumerable.Repeat(pointer, 10_500)]);
        Assert.Equal((10_000, 10_500), (pump.Pending, pump.Offered));
        var idle = pump.WhenIdleAsync();
        Assert.False(idle.IsCompleted);

        await pump.StartAsync(default);
        await idle;
        Assert.Equal(0, pump.Pending);
        await pump.StopAsync(default);
    }

    private SandboxOptions Options(bool pump = true, bool sweeper = true, ServiceBusClient? bus = null) => new()
    {
        Storage = storage,
        // Without Harbour's own listeners to the queue, whose place the test takes.
        FunctionClasses = typeof(Outbox).Assembly.GetTypes().Where(type => !ListensToBus(type) && (sweeper || type != typeof(OutboxSweeper))).Append(typeof(EventCatcher)),
        Configure = builder =>
        {
            builder.Services.AddSingleton(probe);
            if (bus is not null) builder.Services.AddSingleton(bus);
            if (!pump) builder.Configuration.AddInMemoryCollection([new("Outbox:Pump", "false")]);
        },
    };

    private static bool ListensToBus(Type type) => type.GetMethods().Any(m => m.GetParameters().Any(p => p.GetCustomAttribute<ServiceBusTriggerAttribute>() is not null));

    private List<string> Delivered() => [.. probe.Messages.Select(m => m.Message.MessageId).Order()];

    private async Task<List<string>> EventsAsync() => [.. (await RowsAsync("event|")).Select(row => "evt_" + Sortable.Invert(row.RowKey["event|".Length..]))];

    private Task<List<TableEntity>> PointersAsync() => RowsAsync("outbox|");

    private async Task<List<TableEntity>> RowsAsync(string prefix) =>
        await new TableClient(storage, Books.Table).QueryAsync<TableEntity>().Where(row => row.RowKey.StartsWith(prefix, StringComparison.Ordinal)).ToListAsync();

    /// <summary>A bus that fails for as long as it is told to, and otherwise remembers what it took.</summary>
    private sealed class FailingBus
    {
        private readonly List<string> taken = [];

        public FailingBus()
        {
            var sender = new Mock<ServiceBusSender>();
            sender.Setup(s => s.SendMessagesAsync(It.IsAny<IEnumerable<ServiceBusMessage>>(), It.IsAny<CancellationToken>()))
                .Returns((IEnumerable<ServiceBusMessage> messages, CancellationToken _) =>
                {
                    if (IsDown) throw new ServiceBusException("The bus is down.", ServiceBusFailureReason.ServiceCommunicationProblem);
                    lock (taken) taken.AddRange(messages.Select(m => m.MessageId));
                    return Task.CompletedTask;
                });
            var client = new Mock<ServiceBusClient>();
            client.Setup(c => c.CreateSender(Outbox.Queue)).Returns(sender.Object);
            Client = client.Object;
        }

        public ServiceBusClient Client { get; }

        public bool IsDown { get; set; }

        public IReadOnlyList<string> Taken
        {
            get
            {
                lock (taken) return [.. taken];
            }
        }
    }
}

public sealed class EventCatcher(Probe probe, TimeProvider clock)
{
    [Function("CatchEvents")]
    public void Catch([ServiceBusTrigger(Outbox.Queue)] ServiceBusReceivedMessage message) => probe.Messages.Enqueue((message, clock.GetUtcNow()));
}
