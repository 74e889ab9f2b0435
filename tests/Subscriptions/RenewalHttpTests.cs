using System.Text.Json.Nodes;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;
using static Harbour.Tests.Subscriptions.SubscriptionHost;

namespace Harbour.Tests.Subscriptions;

[Collection(nameof(UsesSandbox))]
public sealed class RenewalHttpTests(SandboxFixture sandbox) : IAsyncLifetime
{
    private SubscriptionHost world = null!;

    public async Task InitializeAsync() => world = await StartAsync(sandbox);

    public async Task DisposeAsync() => await world.DisposeAsync();

    [Fact]
    public async Task The_first_period_is_charged_at_once()
    {
        var made = await world.SubscribeAsync();
        var invoice = Assert.Single(await world.InvoicesAsync(made.Id));
        Assert.Equal(("active", "paid", made.Body["latest_invoice"]!.ToString()), (made.State, invoice["status"]!.ToString(), invoice["id"]!.ToString()));
        Assert.Equal((made.Body["current_period_start"]!.ToString(), made.Body["current_period_end"]!.ToString()), (invoice["period_start"]!.ToString(), invoice["period_end"]!.ToString()));

        var charge = await world.Api.GetAsync("/v1/charges/" + invoice["attempts"]![0]!["charge"]);
        Assert.Equal(("succeeded", 12800, made.Body["mandate"]!.ToString(), made.Body["customer"]!.ToString()), (
            charge.State, charge.Body["amount"]!.GetValue<int>(), charge.Body["mandate"]!.ToString(), charge.Body["customer"]!.ToString()));
        Assert.Equal(made.Id, charge.Body["metadata"]!["subscription"]!.ToString());
    }

    [Theory]
    [InlineData("tok_recurring_fails_1", 2, "paid", "active")]
    [InlineData("tok_recurring_fails_3", 4, "paid", "active")]
    [InlineData("tok_recurring_fails_9", 4, "uncollectible", "unpaid")]
    public async Task Attempts_come_after_1_24_and_72_hours_until_one_succeeds_or_four_have_failed(string token, int attempts, string invoiceEnds, string subscriptionEnds)
    {
        var made = await world.SubscribeAsync(token);
        Assert.Equal("past_due", made.State);
        TimeSpan[] waits = [TimeSpan.FromHours(1), TimeSpan.FromHours(24), TimeSpan.FromHours(72)];
        foreach (var (wait, number) in waits.Select((wait, i) => (wait, i + 2)).Take(attempts - 1))
        {
            var due = Time((await LatestAsync(made.Id))["attempts"]!.AsArray()[^1]!["at"]) + wait;
            await AdvanceAsync(due - TimeSpan.FromMinutes(1) - world.Host.Clock.GetUtcNow());
            Assert.Equal(number - 1, (await LatestAsync(made.Id))["attempts"]!.AsArray().Count);
            await AdvanceAsync(TimeSpan.FromMinutes(2));
            Assert.Equal(number, (await LatestAsync(made.Id))["attempts"]!.AsArray().Count);
        }

        await world.Api.AdvanceAsync("200:00:00");
        var invoice = await LatestAsync(made.Id);
        Assert.Equal((invoiceEnds, subscriptionEnds), (invoice["status"]!.ToString(), (await world.GetAsync(made.Id)).State));
        var at = invoice["attempts"]!.AsArray().Select(a => Time(a!["at"])).ToList();
        Assert.Equal(attempts, at.Count);
        Assert.All(at.Zip(at.Skip(1), waits), gap => Assert.InRange(gap.Second - gap.First, gap.Third, gap.Third + TimeSpan.FromMinutes(3)));
        Assert.Equal(attempts, invoice["attempts"]!.AsArray().Select(a => a!["charge"]!.ToString()).Distinct().Count());
        Assert.Null(invoice["next_attempt_at"]);

        string[] failures = [.. Enumerable.Repeat("invoice.payment_failed", invoiceEnds == "paid" ? attempts - 1 : attempts)];
        Assert.Equal([.. failures, "invoice." + invoiceEnds], await world.EventsAsync(invoice["id"]!.ToString()));
        Assert.Equal(
            invoiceEnds == "paid" ? ["subscription.created", "subscription.past_due", "subscription.renewed"] : ["subscription.created", "subscription.past_due", "subscription.unpaid"],
            await world.EventsAsync(made.Id));
    }

    [Fact]
    public async Task A_refusal_that_cannot_heal_ends_it_at_once()
    {
        var made = await world.SubscribeAsync("tok_recurring_stolen");
        await world.Api.AdvanceAsync("120:00:00");
        var invoice = await LatestAsync(made.Id);
        Assert.Equal(("unpaid", "uncollectible", "stolen_card"), ((await world.GetAsync(made.Id)).State, invoice["status"]!.ToString(), Assert.Single(invoice["attempts"]!.AsArray())!["failure_code"]!.ToString()));
    }

    [Fact]
    public async Task A_mandate_that_was_revoked_ends_it_without_a_charge()
    {
        var made = await world.SubscribeAsync();
        Assert.Equal(200, (await world.Api.PostAsync($"/v1/mandates/{made.Body["mandate"]}/revoke", null)).Status);
        var payments = world.Host.Stripe!.Payments().Count;
        await world.Api.AdvanceAsync("800:00:00");

        var invoice = await LatestAsync(made.Id);
        var attempt = Assert.Single(invoice["attempts"]!.AsArray())!;
        Assert.Equal(("unpaid", "uncollectible", "mandate_not_active"), ((await world.GetAsync(made.Id)).State, invoice["status"]!.ToString(), attempt["failure_code"]!.ToString()));
        Assert.Null(attempt["charge"]);
        Assert.Equal(payments, world.Host.Stripe.Payments().Count);
    }

    [Fact]
    public async Task An_unpaid_subscription_is_healed_by_another_mandate()
    {
        var made = await world.SubscribeAsync("tok_recurring_stolen");
        Assert.Equal("unpaid", made.State);
        var mandate = await world.Api.PostAsync($"/v1/customers/{made.Body["customer"]}/mandates", new { payment_method = new { type = "card", token = "tok_visa" } });
        Assert.Equal(200, (await world.Api.PostAsync("/v1/subscriptions/" + made.Id, new { mandate = mandate.Id })).Status);
        Assert.Equal("active", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/resume", null)).State);

        await world.Api.AdvanceAsync("00:05:00");
        Assert.Equal("paid", (await LatestAsync(made.Id))["status"]!.ToString());
        Assert.Equal("active", (await world.GetAsync(made.Id)).State);
    }

    [Fact]
    public async Task Twenty_four_months_are_twenty_four_paid_invoices_without_a_gap()
    {
        // The last day of January, so that the ends of the months differ.
        var start = NextLastOfJanuary(world.Host.Clock.GetUtcNow());
        var made = await world.SubscribeAsync(with: new JsonObject { ["start_at"] = start.ToString("yyyy-MM-dd'T'HH:mm:sszzz") });
        Assert.Equal("trialing", made.State);
        await AdvanceAsync(start.AddMonths(23).AddDays(1) - world.Host.Clock.GetUtcNow());

        var invoices = await world.InvoicesAsync(made.Id);
        Assert.Equal(24, invoices.Count);
        Assert.All(invoices, invoice => Assert.Equal("paid", invoice["status"]!.ToString()));
        invoices.Reverse();
        Assert.Equal(Enumerable.Range(0, 25).Select(month => start.AddMonths(month)), [.. invoices.Select(i => Time(i["period_start"])), Time(invoices[^1]["period_end"])]);
        Assert.Equal(24, world.Host.Stripe!.Payments().Count(p => p.Amount == 12800));
        Assert.Equal(24, (await world.EventsAsync(made.Id)).Count(e => e == "subscription.renewed"));
    }

    [Fact]
    public async Task A_trial_is_not_charged_and_what_follows_is()
    {
        var made = await world.SubscribeAsync(with: new JsonObject { ["trial_days"] = 14 });
        Assert.Equal("trialing", made.State);
        await world.Api.AdvanceAsync("335:00:00");
        Assert.Empty(await world.InvoicesAsync(made.Id));
        await world.Api.AdvanceAsync("02:00:00");
        Assert.Equal("paid", (await LatestAsync(made.Id))["status"]!.ToString());
        Assert.Equal("active", (await world.GetAsync(made.Id)).State);
    }

    [Fact]
    public async Task A_paused_subscription_is_not_charged_and_a_resumed_one_is_again()
    {
        var made = await world.SubscribeAsync();
        Assert.Equal("paused", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/pause", null)).State);
        await world.Api.AdvanceAsync("2400:00:00");
        Assert.Single(await world.InvoicesAsync(made.Id));

        Assert.Equal("active", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/resume", null)).State);
        await world.Api.AdvanceAsync("00:05:00");
        var invoices = await world.InvoicesAsync(made.Id);
        Assert.Equal((2, "paid"), (invoices.Count, invoices[0]["status"]!.ToString()));
        Assert.Equal(["subscription.created", "subscription.paused", "subscription.resumed"], (await world.EventsAsync(made.Id)).Take(3));
    }

    [Fact]
    public async Task Retries_rest_while_it_is_paused()
    {
        var made = await world.SubscribeAsync("tok_recurring_fails_1");
        await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/pause", null);
        await world.Api.AdvanceAsync("48:00:00");
        Assert.Single((await LatestAsync(made.Id))["attempts"]!.AsArray());
        Assert.Equal("past_due", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/resume", null)).State);
        await world.Api.AdvanceAsync("00:05:00");
        Assert.Equal("paid", (await LatestAsync(made.Id))["status"]!.ToString());
    }

    [Fact]
    public async Task Nobody_pays_for_the_time_in_which_it_was_paused()
    {
        var made = await world.SubscribeAsync("tok_recurring_fails_1");
        await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/pause", null);
        await world.Api.AdvanceAsync("2400:00:00");
        Assert.Equal("active", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/resume", null)).State);
        await world.Api.AdvanceAsync("01:00:00");

        var invoices = await world.InvoicesAsync(made.Id);
        Assert.Equal(["paid", "void"], invoices.Select(invoice => invoice["status"]!.ToString()));
        Assert.InRange(world.Host.Clock.GetUtcNow() - Time(invoices[0]["period_start"]), TimeSpan.FromHours(1), TimeSpan.FromHours(1) + TimeSpan.FromMinutes(5));
    }

    [Fact]
    public async Task A_cancelled_subscription_leaves_no_orchestration_running()
    {
        var durable = world.Host.Services.GetRequiredService<DurableTaskClient>();
        var made = await world.SubscribeAsync("tok_recurring_fails_9");
        Assert.Equal("canceled", (await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/cancel", null)).State);
        await world.Api.AdvanceAsync("00:05:00");
        Assert.Equal(OrchestrationRuntimeStatus.Completed, (await durable.GetInstanceAsync(made.Id))!.RuntimeStatus);

        await world.Api.AdvanceAsync("1000:00:00");
        var invoice = Assert.Single(await world.InvoicesAsync(made.Id));
        Assert.Equal(("void", 1), (invoice["status"]!.ToString(), invoice["attempts"]!.AsArray().Count));
    }

    [Fact]
    public async Task Cancelled_at_the_periods_end_it_runs_until_then()
    {
        var durable = world.Host.Services.GetRequiredService<DurableTaskClient>();
        var made = await world.SubscribeAsync();
        var marked = await world.Api.PostAsync($"/v1/subscriptions/{made.Id}/cancel", new { at_period_end = true });
        Assert.Equal(("active", true), (marked.State, marked.Body["cancel_at_period_end"]!.GetValue<bool>()));

        var end = Time(made.Body["current_period_end"]);
        await AdvanceAsync(end - world.Host.Clock.GetUtcNow() - TimeSpan.FromMinutes(5));
        Assert.Equal("active", (await world.GetAsync(made.Id)).State);
        await world.Api.AdvanceAsync("00:10:00");
        Assert.Equal("canceled", (await world.GetAsync(made.Id)).State);
        Assert.Single(await world.InvoicesAsync(made.Id));
        Assert.True((await durable.GetInstanceAsync(made.Id))!.IsCompleted);
    }

    [Fact]
    public async Task While_the_provider_cannot_be_reached_an_attempt_does_not_count()
    {
        var made = await world.SubscribeAsync("tok_recurring_fails_1", new JsonObject { ["trial_days"] = 1 });
        await world.Host.Stripe!.SetFaultsAsync(new() { Down = true });
        await world.Api.AdvanceAsync("25:00:00");
        Assert.Empty((await LatestAsync(made.Id))["attempts"]!.AsArray());
        Assert.Equal("active", (await world.GetAsync(made.Id)).State);

        // The first attempt fails; the second finds nobody there again, and fails nobody a second time.
        await world.Host.Stripe.SetFaultsAsync(new());
        await world.Api.AdvanceAsync("00:10:00");
        Assert.Equal("past_due", (await world.GetAsync(made.Id)).State);
        await world.Host.Stripe.SetFaultsAsync(new() { Down = true });
        await world.Api.AdvanceAsync("02:00:00");
        await world.Host.Stripe.SetFaultsAsync(new());
        await world.Api.AdvanceAsync("00:10:00");
        Assert.Equal(["invoice.payment_failed", "invoice.paid"], await world.EventsAsync((await LatestAsync(made.Id))["id"]!.ToString()));
        Assert.Equal(2, (await LatestAsync(made.Id))["attempts"]!.AsArray().Count);
    }

    private static DateTimeOffset NextLastOfJanuary(DateTimeOffset now)
    {
        var here = now.ToOffset(TimeSpan.FromHours(8));
        var start = new DateTimeOffset(here.Year, 1, 31, 10, 0, 0, TimeSpan.FromHours(8));
        return start > now ? start : start.AddYears(1);
    }

    private async Task<JsonNode> LatestAsync(string subscription) => (await world.InvoicesAsync(subscription))[0];

    private async Task AdvanceAsync(TimeSpan by)
    {
        var answer = await world.Api.AdvanceAsync($"{(long)by.TotalHours}:{by.Minutes:D2}:{by.Seconds:D2}");
        Assert.True(answer.Status == 200, answer.Text);
    }
}
