using System.Text.Json.Nodes;
using Harbour.Foundation;
using Harbour.Subscriptions;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;
using static Harbour.Tests.Subscriptions.SubscriptionHost;

namespace Harbour.Tests.Subscriptions;

/// <summary>What could charge twice or not at all: many at once, and orchestrations that are lost.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class RenewalRaceTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private SubscriptionHost world = null!;

    private DurableTaskClient Durable => world.Host.Services.GetRequiredService<DurableTaskClient>();
    private RenewalOperations Renewals => world.Host.Services.GetRequiredService<RenewalOperations>();

    public async Task InitializeAsync() => world = await StartAsync(sandbox);

    public async Task DisposeAsync() => await world.DisposeAsync();

    [Fact]
    public async Task Twenty_who_renew_at_once_charge_once()
    {
        var made = await world.SubscribeAsync(with: new JsonObject { ["trial_days"] = 1 });
        await Durable.TerminateInstanceAsync(made.Id, "the test does it by hand");
        await world.Api.AdvanceAsync("26:00:00");

        var (book, id) = (await BookAsync(made.Id), Id<Subscription>.Parse(made.Id));
        await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Renewals.AdvanceAsync(book, id, "race-" + i)));
        var invoice = Assert.Single(await world.InvoicesAsync(made.Id));
        Assert.Equal("paid", invoice["status"]!.ToString());
        Assert.Single(invoice["attempts"]!.AsArray());
        Assert.Equal(1, world.Host.Stripe!.Payments().Count(p => p.Amount == 12800));
    }

    [Fact]
    public async Task A_key_makes_one_subscription_however_many_send_it()
    {
        var (customer, mandate) = await world.MandateAsync();
        var (key, body) = (Api.NewKey(), new { customer, mandate, amount = 12800, currency = "HKD", interval = "month" });
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => world.Api.PostAsync("/v1/subscriptions", body, key)));
        var last = await world.Api.PostAsync("/v1/subscriptions", body, key);
        Assert.Equal(201, last.Status);
        Assert.Equal("true", last["Idempotent-Replayed"]);
        Assert.Equal(last.Id, Assert.Single((await world.Api.GetAsync("/v1/subscriptions?customer=" + customer)).Body["data"]!.AsArray())!["id"]!.ToString());
        Assert.Equal(1, world.Host.Stripe!.Payments().Count(p => p.Amount == 12800));
    }

    [Fact]
    public async Task The_daily_watch_starts_an_orchestration_that_was_lost()
    {
        var made = await world.SubscribeAsync();
        await Durable.TerminateInstanceAsync(made.Id, "lost");
        await world.Api.AdvanceAsync("00:01:00");
        await Durable.PurgeInstanceAsync(made.Id);
        Assert.Null(await Durable.GetInstanceAsync(made.Id));

        await world.Api.AdvanceAsync("25:00:00");
        Assert.Equal(OrchestrationRuntimeStatus.Running, (await Durable.GetInstanceAsync(made.Id))!.RuntimeStatus);
        await world.Api.AdvanceAsync("800:00:00");
        Assert.Equal(2, (await world.InvoicesAsync(made.Id)).Count);
    }

    [Fact]
    public async Task The_daily_watch_wakes_one_that_missed_a_change()
    {
        var made = await world.SubscribeAsync();
        await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/pause", null);
        await world.Api.AdvanceAsync("1000:00:00");
        // The call that resumed it died before it could wake the orchestration.
        var book = await BookAsync(made.Id);
        var store = world.Host.Services.GetRequiredService<SubscriptionStore>();
        var row = (await store.FindAsync(book, Id<Subscription>.Parse(made.Id)))!;
        var commit = world.Host.Services.GetRequiredService<Books>().Begin(book, "req-lost", "subscription.resume");
        SubscriptionStore.Replace(commit, row, row.Value.Resume(null, world.Host.Clock.GetUtcNow()).Value);
        Assert.NotNull(await commit.SubmitAsync());

        await world.Api.AdvanceAsync("50:00:00");
        Assert.Equal(["paid", "paid"], (await world.InvoicesAsync(made.Id)).Select(invoice => invoice["status"]!.ToString()));
    }

    [Fact]
    public async Task An_attempt_whose_worker_died_is_settled_before_the_next()
    {
        // The provider takes the payment, and its answer is lost with the worker.
        var made = await world.SubscribeAsync(with: new JsonObject { ["trial_days"] = 1 });
        await world.Host.Stripe!.SetFaultsAsync(new() { ErrorRate = 1 });
        await world.Api.AdvanceAsync("24:02:00");
        await world.Host.Stripe.SetFaultsAsync(new());
        await world.Api.AdvanceAsync("120:00:00");

        var invoice = Assert.Single(await world.InvoicesAsync(made.Id));
        Assert.Equal("paid", invoice["status"]!.ToString());
        var taken = world.Host.Stripe.Payments().Where(p => p is { Amount: 12800, Status: "succeeded" }).ToList();
        Assert.Equal(invoice["attempts"]!.AsArray()[^1]!["charge"]!.ToString(), Assert.Single(taken).Charge);
    }

    private async Task<Book> BookAsync(string subscription)
    {
        var input = (await Durable.GetInstanceAsync(subscription, getInputsAndOutputs: true))!.ReadInputAs<RenewalInput>()!;
        return new Book(input.Merchant, input.Mode);
    }
}
