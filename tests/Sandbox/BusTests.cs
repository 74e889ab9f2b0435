using System.Text.Json.Nodes;
using Azure.Messaging.ServiceBus;
using Azure.Storage.Queues;
using Harbour.Sandbox;
using Harbour.Sandbox.Bus;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Sandbox;

[Collection(nameof(UsesSandbox))]
public sealed class BusTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private readonly Probe probe = new();
    private string storage = "";
    private SandboxHost host = null!;

    public async Task InitializeAsync()
    {
        storage = sandbox.NewStorage();
        host = await StartAsync();
    }

    public async Task DisposeAsync()
    {
        probe.Door.TrySetResult();
        await host.DisposeAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1_000)]
    [InlineData(250_000)]
    public async Task A_message_arrives_as_it_was_sent_whatever_its_size(int size)
    {
        var body = new byte[size];
        new Random(size).NextBytes(body);
        var (guid, moment) = (new Guid("00000000-0000-0000-0000-000000000007"), new DateTimeOffset(2026, 3, 1, 9, 0, 0, TimeSpan.FromHours(8)));
        await SendAsync("work", new ServiceBusMessage(body)
        {
            MessageId = "a/b#c?d 中文",
            Subject = "charge.succeeded",
            ContentType = "application/json",
            CorrelationId = "req_1",
            ApplicationProperties = { ["text"] = "<&中>", ["flag"] = true, ["int"] = 7, ["long"] = 1L << 40, ["double"] = 0.1, ["decimal"] = 1.10m, ["guid"] = guid, ["time"] = moment },
        });

        await SeenAsync("charge.succeeded a/b#c?d 中文 1");
        var (message, at) = Assert.Single(probe.Messages);
        Assert.Equal(body, message.Body.ToArray());
        Assert.Equal(("application/json", "req_1"), (message.ContentType, message.CorrelationId));
        Assert.Equal(
            new Dictionary<string, object> { ["text"] = "<&中>", ["flag"] = true, ["int"] = 7, ["long"] = 1L << 40, ["double"] = 0.1, ["decimal"] = 1.10m, ["guid"] = guid, ["time"] = moment },
            message.ApplicationProperties);
        Assert.InRange(message.EnqueuedTime, at.AddMinutes(-1), at);
        await EmptyAsync();
    }

    [Fact]
    public async Task A_body_is_bound_to_text_or_bytes()
    {
        await SendAsync("texts", new ServiceBusMessage("你好"));
        await SendAsync("bytes", new ServiceBusMessage(new byte[] { 1, 2, 3 }));
        await SeenAsync("Text 你好");
        await SeenAsync("3 bytes");
    }

    [Fact]
    public async Task What_is_larger_than_256_KiB_is_refused_and_a_batch_says_what_fits()
    {
        var sender = Sender("work");
        var message = new ServiceBusMessage(new byte[(256 * 1024) + 1]);
        var refused = await Assert.ThrowsAsync<ServiceBusException>(() => sender.SendMessageAsync(message));
        Assert.Equal(ServiceBusFailureReason.MessageSizeExceeded, refused.Reason);
        Assert.False(refused.IsTransient);
        await Assert.ThrowsAsync<ServiceBusException>(() => sender.SendMessagesAsync([new(new byte[200_000]), new(new byte[200_000])]));

        using var batch = await sender.CreateMessageBatchAsync();
        Assert.False(batch.TryAddMessage(message));
        Assert.True(batch.TryAddMessage(new(new byte[200_000]) { MessageId = "one", Subject = "x" }));
        Assert.False(batch.TryAddMessage(new(new byte[200_000])));
        Assert.True(batch.TryAddMessage(new(new byte[100]) { MessageId = "two", Subject = "x" }));
        await sender.SendMessagesAsync(batch);
        await SeenAsync("x one 1");
        await SeenAsync("x two 1");
    }

    [Fact]
    public async Task Ten_failures_make_a_dead_letter_that_can_be_sent_again()
    {
        await SendAsync("work", new ServiceBusMessage("""{"n":1}""") { MessageId = "m1", Subject = "fail" }, new ServiceBusMessage("2") { MessageId = "m2", Subject = "fail" });
        JsonNode? letters = null;
        await Eventually.True(async () => (letters = await DeadLettersAsync("work")).AsArray().Count == 2, "both are dead");

        Assert.Equal(Enumerable.Range(1, 10).Select(n => $"fail m1 {n}"), probe.Seen.Where(s => s.StartsWith("fail m1", StringComparison.Ordinal)));
        var first = letters!.AsArray().Single(l => l!["message_id"]!.GetValue<string>() == "m1")!;
        Assert.Equal(("fail", "MaxDeliveryCountExceeded", 10, """{"n":1}"""),
            (first["subject"]!.GetValue<string>(), first["reason"]!.GetValue<string>(), first["delivery_count"]!.GetValue<int>(), first["body"]!.GetValue<string>()));
        await EmptyAsync();

        probe.IsBroken = false;
        Assert.Equal(1, await RedriveAsync("""{"message_id":"m1"}"""));
        await Eventually.True(() => probe.Count("fail m1 1") == 2, "it is delivered as if for the first time");
        Assert.Equal(1, probe.Count("fail m2 10"));
        Assert.Equal(1, await RedriveAsync(""));
        await Eventually.True(() => probe.Count("fail m2 1") == 2, "all that are left");
        Assert.Empty((await DeadLettersAsync("work")).AsArray());
        await EmptyAsync();
    }

    [Fact]
    public async Task A_function_settles_a_message_itself()
    {
        await SendAsync("work", new("1") { MessageId = "1", Subject = "complete, then fail" }, new("2") { MessageId = "2", Subject = "abandon" }, new("3") { MessageId = "3", Subject = "dead" });
        await EmptyAsync();

        Assert.Equal(1, probe.Seen.Count(s => s.StartsWith("complete, then fail", StringComparison.Ordinal)));
        var abandoned = probe.Messages.Select(m => m.Message).Where(m => m.Subject == "abandon").ToList();
        Assert.Equal([1, 2, 3], abandoned.Select(m => m.DeliveryCount));
        Assert.Equal([null, 1, 2], abandoned.Select(m => m.ApplicationProperties.GetValueOrDefault("tries")));
        var letter = Assert.Single((await DeadLettersAsync("work")).AsArray())!;
        Assert.Equal(("unreadable", "no JSON", 1), (letter["reason"]!.GetValue<string>(), letter["description"]!.GetValue<string>(), letter["delivery_count"]!.GetValue<int>()));
    }

    [Fact]
    public async Task A_second_message_with_the_same_id_is_dropped_for_ten_minutes()
    {
        await SendAsync("work", new("1") { MessageId = "same", Subject = "x" }, new("2") { MessageId = "same", Subject = "x" }, new("3") { MessageId = "other", Subject = "x" });
        await SendAsync("work", new ServiceBusMessage("4") { MessageId = "same", Subject = "x" });
        await SendAsync("texts", new ServiceBusMessage("another queue") { MessageId = "same" });
        await AdvanceAsync("00:09:00");
        await SendAsync("work", new("5") { MessageId = "same", Subject = "x" }, new("6") { MessageId = "third", Subject = "x" });
        await EmptyAsync();
        Assert.Equal((1, 1, 1, 1), (probe.Count("x same 1"), probe.Count("x other 1"), probe.Count("x third 1"), probe.Count("Text another queue")));

        await AdvanceAsync("00:02:00");
        await SendAsync("work", new ServiceBusMessage("7") { MessageId = "same", Subject = "x" });
        await Eventually.True(() => probe.Count("x same 1") == 2, "the window is over");
    }

    [Fact]
    public async Task A_send_that_broke_off_after_its_id_was_noted_can_be_repeated()
    {
        var known = new KnownMessages(new BusStorage(storage), host.Clock);
        await known.NoteAsync("work", [AnEnvelope("m1")], default);

        await SendAsync("work", new ServiceBusMessage("1") { MessageId = "m1", Subject = "x" });
        await SeenAsync("x m1 1");
    }

    [Fact]
    public async Task Scheduled_messages_come_at_their_time_unless_cancelled()
    {
        var sender = Sender("work");
        var start = host.Clock.GetUtcNow();
        await sender.SendMessageAsync(new("late") { MessageId = "late", Subject = "x", ScheduledEnqueueTime = start.AddHours(30) });
        await sender.ScheduleMessageAsync(new("early") { MessageId = "early", Subject = "x" }, start.AddHours(3));
        var cancelled = await sender.ScheduleMessageAsync(new("cancelled") { MessageId = "cancelled", Subject = "x" }, start.AddHours(4));
        await sender.SendMessageAsync(new("past") { MessageId = "past", Subject = "x", ScheduledEnqueueTime = start.AddHours(-1) });
        await sender.CancelScheduledMessageAsync(cancelled);
        var gone = await Assert.ThrowsAsync<ServiceBusException>(() => sender.CancelScheduledMessageAsync(cancelled));
        Assert.Equal(ServiceBusFailureReason.MessageNotFound, gone.Reason);

        await AdvanceAsync("29:00:00");
        Assert.DoesNotContain(probe.Messages, m => m.Message.MessageId == "late");
        await AdvanceAsync("02:00:00");

        Assert.Equal(["past", "early", "late"], probe.Messages.Select(m => m.Message.MessageId));
        Assert.InRange(probe.Messages.Single(m => m.Message.MessageId == "early").At - start, TimeSpan.FromHours(3), TimeSpan.FromHours(3.1));
        Assert.InRange(probe.Messages.Single(m => m.Message.MessageId == "late").At - start, TimeSpan.FromHours(30), TimeSpan.FromHours(30.1));
    }

    [Fact]
    public async Task A_scheduled_message_comes_by_itself_as_real_time_passes()
    {
        await Sender("work").ScheduleMessageAsync(new("soon") { MessageId = "soon", Subject = "x" }, host.Clock.GetUtcNow().AddMilliseconds(300));
        await SeenAsync("x soon 1");
    }

    [Fact]
    public async Task A_function_that_hangs_delays_no_other_message_and_no_more_run_at_once_than_host_json_says()
    {
        await SendAsync("work", new ServiceBusMessage("h") { MessageId = "h", Subject = "hold" });
        await SeenAsync("hold h 1");
        await SendAsync("work", [.. Enumerable.Range(1, 20).Select(n => new ServiceBusMessage("x") { MessageId = $"{n}", Subject = "x" })]);
        await SendAsync("texts", new ServiceBusMessage("another queue"));
        await Sender("work").ScheduleMessageAsync(new("s") { MessageId = "s", Subject = "x" }, host.Clock.GetUtcNow().AddMilliseconds(300));
        await SeenAsync("Text another queue");
        await SeenAsync("x s 1");
        await Eventually.True(() => probe.Seen.Count(s => s.StartsWith("x ", StringComparison.Ordinal)) == 21, "all others are delivered");

        await SendAsync("work", [.. Enumerable.Range(1, 40).Select(n => new ServiceBusMessage("x") { MessageId = $"hold {n}", Subject = "hold" })]);
        await Eventually.True(() => Holding() == 32, "as many as there are slots");
        await SendAsync("texts", new ServiceBusMessage("has slots of its own"));
        await SeenAsync("Text has slots of its own");
        Assert.Equal(32, Holding());
        probe.Door.SetResult();
        await Eventually.True(() => Holding() == 41, "the rest");
        await EmptyAsync();

        int Holding() => probe.Seen.Count(s => s.StartsWith("hold ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_message_stays_locked_for_as_long_as_its_function_runs()
    {
        await SendAsync("work", new ServiceBusMessage("h") { MessageId = "h", Subject = "hold" });
        await SeenAsync("hold h 1");
        var since = TimeProvider.System.GetTimestamp();
        var queue = new QueueClient(storage, "bus-work");
        await Eventually.True(async () =>
        {
            Assert.Empty((await queue.ReceiveMessagesAsync(1, TimeSpan.FromSeconds(1))).Value);
            return TimeProvider.System.GetElapsedTime(since) > BusQueue.Lock + TimeSpan.FromSeconds(1);
        }, "more than one lock's time has passed");
        probe.Door.SetResult();
        await EmptyAsync();
        Assert.Equal(1, probe.Count("hold h 1"));
    }

    [Fact]
    public async Task A_second_host_sends_and_the_first_one_delivers_before_its_clock_goes_on()
    {
        await using var second = await sandbox.StartHostAsync(TestApplication.Options(new Probe(), [typeof(BusTestFunctions)]) with { Storage = storage, Role = SandboxRole.Http });
        var sender = second.Services.GetRequiredService<ServiceBusClient>().CreateSender("work");
        var start = host.Clock.GetUtcNow();
        await sender.SendMessageAsync(new("1") { MessageId = "m1", Subject = "x" });
        await sender.ScheduleMessageAsync(new("2") { MessageId = "m2", Subject = "x" }, start.AddHours(2));
        await AdvanceAsync("05:00:00");
        Assert.Equal(["m1", "m2"], probe.Messages.Select(m => m.Message.MessageId));
        Assert.InRange(probe.Messages.First().At - start, TimeSpan.Zero, TimeSpan.FromHours(1));
        Assert.InRange(probe.Messages.Last().At - start, TimeSpan.FromHours(2), TimeSpan.FromHours(2.5));

        await sender.SendMessageAsync(new("3") { MessageId = "m3", Subject = "x" });
        await SeenAsync("x m3 1");
    }

    [Fact]
    public async Task What_a_host_leaves_the_next_one_delivers()
    {
        await SendAsync("work", new ServiceBusMessage("1") { MessageId = "m1", Subject = "until stopped" });
        await SeenAsync("until stopped m1 1");
        await Sender("work").ScheduleMessageAsync(new("2") { MessageId = "m2", Subject = "x" }, host.Clock.GetUtcNow().AddHours(1));
        await host.DisposeAsync();

        // And what a host leaves that is killed: a message that it had locked, one that nobody was told of, and one whose move into its queue it did not finish.
        var left = new BusStorage(storage);
        var queue = await left.QueueAsync("work");
        await Eventually.True(async () => (await queue.ReceiveAsync(1, default)).Count == 1, "the one that was given back is locked");
        await queue.PutAsync(AnEnvelope("m3"), default);
        await new ScheduledMessages(left).AddAsync("work", AnEnvelope("m4"), default);

        host = await StartAsync();
        await AdvanceAsync("02:00:00");
        Assert.Equal(["m2", "m3", "m4"], probe.Messages.Where(m => m.Message.Subject == "x").Select(m => m.Message.MessageId).Order());
        Assert.True(probe.Count("until stopped m1 3") == 1, "the lock was waited for");
    }

    [Theory]
    [InlineData(typeof(TopicFunctions), "a topic")]
    [InlineData(typeof(BatchFunctions), "batches")]
    public async Task What_the_sandbox_does_not_have_is_refused_at_its_start(Type functions, string what)
    {
        var refused = await Assert.ThrowsAnyAsync<Exception>(() => sandbox.StartHostAsync(TestApplication.Options(probe, [functions])));
        Assert.Contains(what, refused.ToString(), StringComparison.Ordinal);
    }

    private static Envelope AnEnvelope(string id) => new("key-" + id, 1, id, "x", null, null, [], default, default, []);

    private Task<SandboxHost> StartAsync() => sandbox.StartHostAsync(TestApplication.Options(probe, [typeof(BusTestFunctions)]) with { Storage = storage });

    private ServiceBusSender Sender(string queue) => host.Services.GetRequiredService<ServiceBusClient>().CreateSender(queue);

    private Task SendAsync(string queue, params ServiceBusMessage[] messages) => Sender(queue).SendMessagesAsync(messages);

    private Task SeenAsync(string what) => Eventually.True(() => probe.Count(what) > 0, what);

    private async Task EmptyAsync()
    {
        var queue = await new BusStorage(storage).QueueAsync("work");
        await Eventually.True(() => queue.IsEmptyAsync(default), "the queue is empty");
    }

    private async Task AdvanceAsync(string by)
    {
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        Assert.Equal(200, (await new Api(http).AdvanceAsync(by)).Status);
    }

    private async Task<JsonNode> DeadLettersAsync(string queue)
    {
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        return JsonNode.Parse(await http.GetStringAsync($"/sandbox/bus/{queue}/dead_letters"))!["data"]!;
    }

    private async Task<int> RedriveAsync(string body)
    {
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        using var response = await http.PostAsync("/sandbox/bus/work/dead_letters/redrive", new StringContent(body));
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!["redriven"]!.GetValue<int>();
    }
}
