using Harbour.Foundation;
using Harbour.Sandbox;
using Harbour.Tests.Simulation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Tests.Races;

/// <summary>
/// Fifty callers at once, on one host and on two hosts that share a storage. Whatever they are told, the books, the balance and the
/// provider agree afterwards: every test ends with the invariants of the simulation.
/// </summary>
[Collection(nameof(UsesSandbox))]
public sealed class RaceTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private const int N = 50;

    private readonly List<IAsyncDisposable> hosts = [];
    private readonly List<HttpClient> clients = [];
    private SandboxHost first = null!;
    private List<Api> apis = null!;
    private Book book;
    private long allowance;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        clients.ForEach(client => client.Dispose());
        hosts.Reverse();
        foreach (var host in hosts) await host.DisposeAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task Fifty_refunds_of_a_tenth_give_back_the_whole_and_no_more(int count)
    {
        await StartAsync(count, allowance: 10_000);
        var charge = (await apis[0].ChargeAsync(Api.Charge(amount: 10_000))).Id;
        var before = await apis[0].AvailableAsync();

        var keys = Keys();
        var answers = await AtOnceAsync(i => apis[i % count].PostAsync($"/v1/charges/{charge}/refunds", new { amount = 1_000 }, keys[i]));
        Assert.InRange(answers.Count(a => a.Status is 201), 1, 10);
        Assert.All(answers, a => Assert.True(a.Status is 201 || a is { Status: 409, Code: "concurrent_update" } || a is { Status: 422, Code: "refund_exceeds_captured" }, a.Text));

        answers = await UntilSettledAsync(answers, i => apis[(i + 1) % count].PostAsync($"/v1/charges/{charge}/refunds", new { amount = 1_000 }, keys[i]));
        Assert.Equal(10, answers.Count(a => a.Status is 201));
        Assert.Equal(10, answers.Where(a => a.Status is 201).Select(a => a.Id).Distinct().Count());
        Assert.Equal(10_000, (await apis[0].GetAsync("/v1/charges/" + charge)).Body["amount_refunded"]!.GetValue<long>());
        Assert.Equal(before - 10_000, await apis[^1].AvailableAsync());
        Assert.Equal(10_000, Assert.Single(first.Stripe!.Payments()).AmountRefunded);
        await AssertAllIsWellAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task Fifty_captures_capture_once(int count)
    {
        await StartAsync(count);
        var charge = (await apis[0].ChargeAsync(Api.Charge(amount: 10_000, capture: "manual"))).Id;

        var answers = await AtOnceAsync(i => apis[i % count].PostAsync($"/v1/charges/{charge}/capture", new { }));
        Assert.Equal("succeeded", Assert.Single(answers, a => a.Status is 201).State);
        Assert.All(answers.Where(a => a.Status is not 201), a => Assert.True(a is { Status: 409, Code: "concurrent_update" or "invalid_transition" }, a.Text));
        Assert.Equal(10_000 - 525, await apis[0].AvailableAsync());
        Assert.Equal(10_000, Assert.Single(first.Stripe!.Payments()).AmountCaptured);
        await AssertAllIsWellAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task Parts_captured_at_once_never_exceed_what_was_authorised(int count)
    {
        await StartAsync(count);
        var charge = (await apis[0].ChargeAsync(Api.Charge(amount: 10_000, capture: "manual"))).Id;

        var keys = Keys();
        Task<ApiAnswer> CaptureAsync(int i) => apis[i % count].PostAsync($"/v1/charges/{charge}/capture", new { amount = 3_000, final = false }, keys[i]);
        var answers = await UntilSettledAsync(await AtOnceAsync(CaptureAsync), CaptureAsync);
        Assert.Equal(3, answers.Count(a => a.Status is 201));
        Assert.All(answers.Where(a => a.Status is not 201), a => Assert.Equal((422, "capture_exceeds_authorized"), (a.Status, a.Code)));
        Assert.Equal(9_000, Assert.Single(first.Stripe!.Payments()).AmountCaptured);
        await AssertAllIsWellAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task Of_captures_and_cancellations_one_wins(int count)
    {
        await StartAsync(count);
        for (var round = 0; round < 4; round++)
        {
            var charge = (await apis[0].ChargeAsync(Api.Charge(amount: 10_000, capture: "manual"))).Id;
            var answers = await AtOnceAsync(i => apis[i % count].PostAsync($"/v1/charges/{charge}/{(i / 2 % 2 == 0 ? "capture" : "cancel")}", new { }));
            var state = Assert.Single(answers, a => a.Status is 201).State;
            Assert.Contains(state, new[] { "succeeded", "canceled" });
            Assert.Equal(state, (await apis[0].GetAsync("/v1/charges/" + charge)).State);
            Assert.Equal(state, first.Stripe!.Payments().Single(p => p.Charge == charge).Status);
        }

        await AssertAllIsWellAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task One_key_makes_one_charge_one_capture_and_one_refund(int count)
    {
        await StartAsync(count, allowance: 10_000);
        var charge = await OneKeyAsync("/v1/charges", Api.Charge(amount: 10_000, capture: "manual"));
        await OneKeyAsync($"/v1/charges/{charge}/capture", new { amount = 4_000, final = false });
        await OneKeyAsync($"/v1/charges/{charge}/refunds", new { amount = 1_000 });
        var payment = Assert.Single(first.Stripe!.Payments());
        Assert.Equal((4_000L, 1_000L), (payment.AmountCaptured, payment.AmountRefunded));
        await AssertAllIsWellAsync();

        async Task<string> OneKeyAsync(string path, object body)
        {
            var key = Api.NewKey();
            Task<ApiAnswer> SendAsync(int i) => apis[i % count].PostAsync(path, body, key);
            var answers = await AtOnceAsync(SendAsync);
            Assert.All(answers, a => Assert.True(a.Status is 201 || a is { Status: 409, Code: "idempotency_key_in_use" }, a.Text));
            var again = await AtOnceAsync(SendAsync);
            var text = Assert.Single(answers.Where(a => a.Status is 201).Concat(again).Select(a => a.Text).Distinct());
            Assert.All(again, a => Assert.Equal((201, "true"), (a.Status, a["Idempotent-Replayed"])));
            return System.Text.Json.Nodes.JsonNode.Parse(text)!["id"]!.ToString();
        }
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task The_janitor_and_retries_settle_an_unknown_charge_once(int count)
    {
        await StartAsync(count);
        var keys = Enumerable.Range(0, 5).Select(_ => Api.NewKey()).ToList();
        Task<ApiAnswer> ChargeAsync(int i) => apis[i % count].ChargeAsync(Api.Charge("tok_timeout", 10_000), keys[i % keys.Count]);
        Assert.All(await Task.WhenAll(Enumerable.Range(0, keys.Count).Select(ChargeAsync)), a => Assert.Equal((202, "unknown"), (a.Status, a.State)));

        var advancing = apis[0].AdvanceAsync("00:02:00");
        await AtOnceAsync(ChargeAsync);
        await advancing;
        await apis[0].AdvanceAsync("00:02:00");
        var answers = await AtOnceAsync(ChargeAsync);
        Assert.All(answers, a => Assert.Equal((201, "succeeded"), (a.Status, a.State)));
        Assert.Equal(keys.Count, answers.Select(a => a.Text).Distinct().Count());
        Assert.Equal(keys.Count * (10_000 - 525), await apis[0].AvailableAsync());
        await AssertAllIsWellAsync();
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task Debits_never_overdraw_a_balance_into_which_credits_pour(int count)
    {
        await StartAsync(count);
        var charges = await Task.WhenAll(Enumerable.Range(0, N / 2).Select(i => apis[i % count].ChargeAsync(Api.Charge(amount: 10_000))));
        var keys = Keys();
        Task<ApiAnswer> ChargeOrRefundAsync(int i) => i % 2 == 0
            ? apis[i / 2 % count].ChargeAsync(Api.Charge(amount: 400), keys[i])
            : apis[i / 2 % count].PostAsync($"/v1/charges/{charges[i / 2].Id}/refunds", new { }, keys[i]);

        var answers = await UntilSettledAsync(await AtOnceAsync(ChargeOrRefundAsync), ChargeOrRefundAsync);
        // What came in is less than the fees that a refund does not give back, so not all can be refunded.
        var refused = answers.Where((_, i) => i % 2 == 1).Count(a => a is { Status: 422, Code: "insufficient_funds" });
        Assert.InRange(refused, 1, 3);
        Assert.InRange(await apis[0].AvailableAsync(), 0, long.MaxValue);
        await AssertAllIsWellAsync();
    }

    /// <summary>Starts one host, or a second one beside it that only answers requests, and makes a merchant of this test's own.</summary>
    private async Task StartAsync(int count, long allowance = 0)
    {
        this.allowance = allowance;
        first = await sandbox.StartHostAsync(new SandboxOptions { Configure = Quiet });
        hosts.Add(first);
        if (count == 2) hosts.Add(await SandboxHost.StartAsync(new SandboxOptions { Configure = Quiet, Storage = first.StorageConnectionString, Role = SandboxRole.Http }));
        (book, var key) = await World.AddMerchantAsync(first.Services, allowance);
        clients.AddRange(hosts.Cast<SandboxHost>().Select(host => new HttpClient { BaseAddress = host.BaseAddress }));
        apis = [.. clients.Select(client => new Api(client, key))];
        // Both have read the merchant before the race, so that what races is money.
        foreach (var api in apis) await api.AvailableAsync();

        static void Quiet(Microsoft.Azure.Functions.Worker.Builder.FunctionsApplicationBuilder builder)
        {
            builder.Logging.ClearProviders();
            builder.Configuration.AddInMemoryCollection([new("Stripe:TimeoutSeconds", "2")]);
        }
    }

    private static List<string> Keys() => [.. Enumerable.Range(0, N).Select(_ => Api.NewKey())];

    private static async Task<List<ApiAnswer>> AtOnceAsync(Func<int, Task<ApiAnswer>> send)
    {
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var sending = Task.WhenAll(Enumerable.Range(0, N).Select(async i =>
        {
            await start.Task;
            return await send(i);
        }));
        start.SetResult();
        return [.. await sending];
    }

    /// <summary>Sends what was told to come again, all at once, until nothing is.</summary>
    private static async Task<List<ApiAnswer>> UntilSettledAsync(List<ApiAnswer> answers, Func<int, Task<ApiAnswer>> send)
    {
        for (var round = 0; round < N && answers.Any(a => a.Status is 409); round++)
            answers = [.. await Task.WhenAll(answers.Select(async (answer, i) => answer.Status is 409 ? await send(i) : answer))];
        return answers;
    }

    private async Task AssertAllIsWellAsync()
    {
        Assert.Empty(await Invariants.OfBooksAsync(first.Services, apis[^1], book, allowance, [.. first.Stripe!.Payments()]));
        await apis[0].AdvanceAsync("26:00:00");
        Assert.Empty(Invariants.AfterADay(await Partition.ReadAsync(first.Services.GetRequiredService<Books>(), book)));
        Assert.Empty(await Invariants.OfBooksAsync(first.Services, apis[^1], book, allowance, [.. first.Stripe!.Payments()]));
    }
}
