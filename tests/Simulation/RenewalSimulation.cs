using System.Globalization;
using System.Text.Json.Nodes;
using Harbour.Foundation;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Simulation;

/// <summary>What one run of renewals found.</summary>
internal sealed record RenewalRun(RenewalPlan Plan, IReadOnlyList<string> Violations, int Kills, int Invoices)
{
    public override string ToString() => $"""
        Seed {Plan.Seed} broke a promise:
          {string.Join("\n  ", Violations)}
        Replay it: SIMULATION_SEED={Plan.Seed} dotnet test tests --filter FullyQualifiedName~RenewalSimulationTests
        The plan:
        {Plan}
        """;
}

/// <summary>One run: subscribers live through weeks of faults and kills, then through ten quiet days, and then everything is looked at.</summary>
internal sealed class RenewalSimulation(World world, RenewalPlan plan, string key)
{
    private const int Tries = 30;

    private readonly List<(string Key, JsonObject Body)> wanted = [];
    private readonly Dictionary<int, string> made = [];
    private int killed;

    public static async Task<RenewalRun> RunAsync(World world, int seed)
    {
        var plan = RenewalPlan.Of(seed);
        var services = (await world.UseAsync(FaultPlan.None)).Services;
        var (book, key) = await World.AddMerchantAsync(services, 0);
        var payments = world.Stripe.Payments().Count;
        var processes = world.Processes;

        var run = new RenewalSimulation(world, plan, key);
        await run.PrepareAsync();
        await run.LiveAsync();
        var kills = world.Processes - processes;
        await run.RestAsync();
        var violations = await run.LookAsync();
        var (process, invoices) = (await world.ProcessAsync(), await run.InvoicesAsync());
        violations.AddRange(RenewalInvariants.OfInvoices(invoices, [.. world.Stripe.Payments().Skip(payments)]));
        violations.AddRange(await Invariants.OfBooksAsync(process.Services, new Api(process.Http, key), book, 0, [.. world.Stripe.Payments().Skip(payments)]));
        var partition = await Partition.ReadAsync(process.Services.GetRequiredService<Books>(), book);
        violations.AddRange(RenewalInvariants.OfCharges(partition, invoices));
        violations.AddRange(RenewalInvariants.OfEvents(partition, invoices));
        violations.AddRange(await run.EndAsync());
        return new RenewalRun(plan, violations, kills, invoices.Count);
    }

    /// <summary>Customers and mandates, in quiet: what is looked for is in what follows.</summary>
    private async Task PrepareAsync()
    {
        foreach (var (subscription, number) in plan.Subscriptions.Select((s, i) => (s, i)))
        {
            var customer = await SureAsync("/v1/customers", new JsonObject { ["name"] = "Subscriber " + number }, $"customer-{number}");
            var charge = await SureAsync("/v1/charges", new JsonObject
            {
                ["amount"] = 1000,
                ["currency"] = "HKD",
                ["reference"] = $"first-{number}",
                ["customer"] = customer.Id,
                ["setup_mandate"] = true,
                ["payment_method"] = new JsonObject { ["type"] = "card", ["token"] = subscription.Token },
            }, $"first-{number}");
            wanted.Add(($"subscription-{number}", new JsonObject
            {
                ["customer"] = customer.Id,
                ["mandate"] = charge.Body["mandate"]!.ToString(),
                ["amount"] = 12800,
                ["currency"] = "HKD",
                ["interval"] = subscription.Interval,
                ["trial_days"] = subscription.TrialDays,
            }));
        }
    }

    /// <summary>Sends a request until it is carried out: also without faults a busy machine may keep the provider from answering in time.</summary>
    private async Task<ApiAnswer> SureAsync(string path, JsonObject body, string idempotencyKey) =>
        await PostAsync(path, body, idempotencyKey, Tries) ?? throw new InvalidOperationException($"{path} could not be done.");

    private async Task LiveAsync()
    {
        await world.UseAsync(plan.Faults(killed));
        for (var i = 0; i < wanted.Count; i++) await SubscribeAsync(i, tries: 5);
        foreach (var (move, number) in plan.Moves.Select((m, i) => (m, i)))
        {
            await AdvanceAsync(move.By);
            if (move.Change is { } change && made.TryGetValue(move.Subscription, out var id))
                await PostAsync($"/v1/subscriptions/{id}/{(change == "end" ? "cancel" : change)}", change == "end" ? new JsonObject { ["at_period_end"] = true } : [], $"move-{number}", tries: 5);
        }
    }

    /// <summary>No more faults: every call is made again, and ten days pass, longer than all retries of an invoice.</summary>
    private async Task RestAsync()
    {
        killed = int.MaxValue;
        await world.UseAsync(FaultPlan.None);
        await world.QuietAsync();
        for (var i = 0; i < wanted.Count; i++) await SubscribeAsync(i, Tries);
        for (var days = 0; days < 10; days++)
        {
            await AdvanceAsync(TimeSpan.FromDays(1));
            await world.QuietAsync();
        }
    }

    private async Task<List<string>> LookAsync()
    {
        var (violations, api, durable) = (new List<string>(), await ApiAsync(), (await world.ProcessAsync()).Services.GetRequiredService<DurableTaskClient>());
        if (made.Count != wanted.Count) violations.Add($"{wanted.Count - made.Count} subscriptions were never made.");
        foreach (var (number, id) in made)
        {
            var state = (await api.GetAsync("/v1/subscriptions/" + id)).State;
            var flow = await durable.GetInstanceAsync(id);
            if (flow is { IsCompleted: false } != (state != "canceled")) violations.Add($"{id} ({number}) is {state}, and its orchestration is {flow?.RuntimeStatus.ToString() ?? "not there"}.");
            if (flow is { RuntimeStatus: OrchestrationRuntimeStatus.Failed }) violations.Add($"The orchestration of {id} failed: {flow.FailureDetails}.");
        }

        return violations;
    }

    /// <summary>Ends all, so that the next run on this storage has it to itself; and what is ended has to end.</summary>
    private async Task<List<string>> EndAsync()
    {
        foreach (var (number, id) in made) await PostAsync($"/v1/subscriptions/{id}/cancel", [], $"end-{number}", Tries);
        await AdvanceAsync(TimeSpan.FromMinutes(2));
        var durable = (await world.ProcessAsync()).Services.GetRequiredService<DurableTaskClient>();
        var left = new List<string>();
        foreach (var id in made.Values)
            if (await durable.GetInstanceAsync(id) is { IsCompleted: false } flow) left.Add($"{id} is cancelled, and its orchestration is {flow.RuntimeStatus}.");
        return left;
    }

    private async Task<IReadOnlyList<JsonNode>> InvoicesAsync()
    {
        var (api, invoices) = (await ApiAsync(), new List<JsonNode>());
        foreach (var id in made.Values) invoices.AddRange((await api.GetAsync($"/v1/subscriptions/{id}/invoices?limit=100")).Body["data"]!.AsArray().Select(invoice => invoice!).Reverse());
        return invoices;
    }

    private async Task SubscribeAsync(int number, int tries)
    {
        var answer = await PostAsync("/v1/subscriptions", wanted[number].Body, wanted[number].Key, tries);
        if (answer is { Status: 201 }) made[number] = answer.Id;
    }

    /// <summary>Sends a request until it has an answer that stands.</summary>
    private async Task<ApiAnswer?> PostAsync(string path, JsonObject body, string idempotencyKey, int tries)
    {
        for (var i = 0; i < tries; i++)
        {
            if (await TryAsync(api => api.PostAsync(path, body.ToJsonString(), idempotencyKey)) is { } answer)
            {
                if (answer.Status is 200 or 201 || answer is { Status: 409, Code: "invalid_transition" }) return answer;
                // A call that died holds its key for as long as it may have been at work, and what is not known is asked about in a minute.
                if (answer is { Status: 202 } or { Status: 409, Code: "idempotency_key_in_use" } && (killed == int.MaxValue || made.Count == 0)) await AdvanceAsync(TimeSpan.FromMinutes(1));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        }

        return null;
    }

    /// <summary>Moves the clock, however often the process dies on the way.</summary>
    private async Task AdvanceAsync(TimeSpan by)
    {
        var end = (await world.ProcessAsync()).Clock.GetUtcNow() + by;
        for (var tries = 0; tries < 100; tries++)
        {
            var left = end - (await world.ProcessAsync()).Clock.GetUtcNow();
            if (left <= TimeSpan.Zero) return;
            await TryAsync(api => api.AdvanceAsync(string.Create(CultureInfo.InvariantCulture, $"{(long)left.TotalHours}:{left.Minutes:D2}:{Math.Min(59, left.Seconds + 1):D2}")));
        }

        throw new InvalidOperationException("The clock did not come to its end.");
    }

    private async Task<ApiAnswer?> TryAsync(Func<Api, Task<ApiAnswer>> send)
    {
        var process = await world.ProcessAsync();
        try
        {
            // A dead process answers nobody: what it said in its last moment is not heard.
            var answer = await send(new Api(process.Http, key)).WaitAsync(TimeSpan.FromMinutes(2), TimeProvider.System);
            if (!process.IsDead) return answer;
        }
        catch (Exception e) when (process.IsDead && e is HttpRequestException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection went down with the process.
        }

        if (killed < int.MaxValue) killed++;
        await world.UseAsync(killed == int.MaxValue ? FaultPlan.None : plan.Faults(killed));
        return null;
    }

    private async Task<Api> ApiAsync() => new((await world.ProcessAsync()).Http, key);
}
