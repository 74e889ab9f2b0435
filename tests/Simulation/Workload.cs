using System.Collections.Concurrent;
using System.Text.Json.Nodes;

namespace Harbour.Tests.Simulation;

internal enum Operation { Charge, Capture, Cancel, Refund }

/// <summary>One thing that a merchant wants, under one idempotency key.</summary>
/// <param name="Key">The idempotency key, and for a charge also its reference.</param>
/// <param name="Life">Which charge it belongs to.</param>
/// <param name="Body">The body of the request.</param>
/// <param name="Twins">How many callers send it at once.</param>
/// <param name="Tries">How often each caller tries when it hears nothing that it can settle for.</param>
internal sealed record Step(Operation Operation, string Key, int Life, string Body, int Twins, int Tries);

/// <summary>The life of one charge: groups of steps one after the other, the steps of a group at once.</summary>
internal sealed record Life(int Merchant, string Currency, long Amount, bool Manual, string Token, IReadOnlyList<IReadOnlyList<Step>> Groups);

/// <summary>What the merchants of one run will do, and what will go wrong: all of it decided by the seed before anything runs.</summary>
/// <param name="Allowances">How far below zero refunds may take the balance, for each merchant.</param>
/// <param name="InStep">The lives take their groups together, so that all their refunds meet; else each goes at its own pace.</param>
/// <param name="Minutes">How far the clock is moved while all this goes on, so that the janitor and retries meet.</param>
internal sealed record Workload(int Seed, IReadOnlyList<long> Allowances, IReadOnlyList<Life> Lives, bool InStep, IReadOnlyList<int> Minutes, FaultPlan Faults)
{
    private static readonly string[] Currencies = ["HKD", "HKD", "HKD", "USD", "CNY"];

    private static readonly string[] Tokens =
    [
        "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_mastercard", "tok_unionpay", "tok_visa", "tok_mastercard",
        "tok_declined", "tok_insufficient_funds", "tok_3ds_required", "tok_timeout", "tok_timeout_not_charged", "tok_provider_error", "tok_provider_busy",
    ];

    public IEnumerable<Step> Steps => Lives.SelectMany(life => life.Groups).SelectMany(group => group);

    public static Workload Plan(int seed)
    {
        var random = new Random(seed);
        // Small allowances, so that refunds compete for the balance; and often one merchant, so that they compete for the same.
        long[] allowances = [.. Enumerable.Range(0, 2).Select(_ => random.Next(3) * 1_000L)];
        var merchants = random.Next(2) == 0 ? 1 : allowances.Length;
        Life[] lives = [.. Enumerable.Range(0, random.Next(2, 6)).Select(life => PlanLife(random, life, random.Next(merchants)))];
        Step[] steps = [.. lives.SelectMany(life => life.Groups).SelectMany(group => group)];

        var kills = new HashSet<(string, int)>();
        for (var left = random.Next(8) switch { < 3 => 0, < 7 => 1, _ => 2 }; left > 0; left--)
            kills.Add((Work(seed, steps[random.Next(steps.Length)], 0, 0), random.Next(9)));
        // Some runs are calm, so that races are seen that faults would hide.
        var calm = random.Next(4) == 0;
        var faults = calm ? new FaultPlan(seed, 0, 0, 0, kills) : new FaultPlan(seed, 0.06 * random.NextDouble(), 0.25 * random.NextDouble(), 0.06, kills);
        // Less than 15 minutes in all: what is held up on its way for part of a second may not land after absence has become final.
        int[] minutes = [.. Enumerable.Range(0, random.Next(3)).Select(_ => random.Next(1, 7))];
        return new Workload(seed, allowances, lives, random.Next(2) == 0, minutes, faults);
    }

    /// <summary>The name of one try: it is the request id, so what the try causes is found under it in logs and books.</summary>
    public static string Work(int seed, Step step, int twin, int attempt) => $"s{seed}.{step.Key}.{twin}.{attempt}";

    private static Life PlanLife(Random random, int life, int merchant)
    {
        var currency = Currencies[random.Next(Currencies.Length)];
        var amount = random.Next(4) == 0 ? random.Next(400, 1_200) : random.Next(10, 200) * 100L;
        var manual = random.Next(5) < 2;
        var token = Tokens[random.Next(Tokens.Length)];
        var steps = 0;
        var groups = new List<IReadOnlyList<Step>>();
        Add(Make(Operation.Charge, new JsonObject
        {
            ["amount"] = amount,
            ["currency"] = currency,
            ["capture_method"] = manual ? "manual" : "automatic",
            ["reference"] = $"l{life}.0",
            ["payment_method"] = new JsonObject { ["type"] = "card", ["token"] = token },
        }));
        if (manual) PlanCaptures();
        for (var group = random.Next(3); group > 0; group--) Add([.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Refund())]);
        return new Life(merchant, currency, amount, manual, token, groups);

        void PlanCaptures()
        {
            switch (random.Next(6))
            {
                case 0: break;
                case 1: Add(Cancel()); break;
                case 2: Add(Cancel(), Capture(null, true)); break;
                case 3: Add(Capture(null, true), Capture(null, true), Capture(amount / 2, true)); break;
                case 4:
                    Add(Capture(amount / 3, false), Capture(amount / 4, false));
                    Add(random.Next(2) == 0 ? Cancel() : Capture(null, true));
                    break;
                default: Add(Capture(amount / 2, random.Next(2) == 0)); break;
            }
        }

        Step Capture(long? part, bool final) => Make(Operation.Capture, part is null ? new JsonObject { ["final"] = final } : new JsonObject { ["amount"] = part, ["final"] = final });

        Step Cancel() => Make(Operation.Cancel, []);

        Step Refund() => Make(Operation.Refund, random.Next(3) switch { 0 => [], 1 => new JsonObject { ["amount"] = amount / 2 }, _ => new JsonObject { ["amount"] = amount / 3 + random.Next(50) } });

        void Add(params Step[] group) => groups.Add(group);

        Step Make(Operation operation, JsonObject body) =>
            new(operation, $"l{life}.{steps++}", life, body.ToJsonString(), random.Next(4) == 0 ? 2 : 1, random.Next(1, 5));
    }

    public string Describe() => $"  {(InStep ? "in step" : "each at its own pace")}, the clock moved by {string.Join(" + ", Minutes)} min, allowances {string.Join(", ", Allowances)}\n" + string.Join('\n', Lives.Select((life, number) =>
        $"  life {number}: merchant {life.Merchant}, {life.Currency} {life.Amount}, {(life.Manual ? "manual" : "automatic")}, {life.Token}: "
        + string.Join(" ; ", life.Groups.Select(group => string.Join(" + ", group.Select(step => $"{step.Operation} {step.Key}{(step.Operation is Operation.Charge ? "" : " " + step.Body)} ×{step.Twins}"))))));
}

/// <summary>What one try was answered.</summary>
/// <param name="Begun">The place in the order of all beginnings and ends at which it was sent.</param>
/// <param name="Ended">The place at which its answer had come.</param>
/// <param name="Answer">Null when none was heard.</param>
internal sealed record Heard(Step Step, string Work, int Begun, int Ended, ApiAnswer? Answer)
{
    /// <summary>An answer that may never change: one that says what became of an object.</summary>
    public bool IsFinal => Answer is { Status: 201 or 402 } or { Status: 403, Code: "risk_blocked" };

    /// <summary>The object that the answer is about, if there is one.</summary>
    public string? Object => Answer switch
    {
        { Status: 201 or 202 } answer => answer.Id,
        { Status: 402 or 403 } answer => answer.Body[Step.Operation is Operation.Refund ? "refund" : "charge"]?.ToString(),
        _ => null,
    };

    public override string ToString() => $"{Begun,4}–{Ended,-4} {Work} {Step.Operation}: {(Answer is { } a ? $"{a.Status} {a.Code}{(a.Status < 300 ? a.State : "")} {Object}" : "nothing heard")}";
}

/// <summary>Sends a workload's steps as merchants' software would, and keeps all that it heard.</summary>
internal sealed class Merchants(World world, Workload workload, IReadOnlyList<string> keys)
{
    private readonly ConcurrentQueue<Heard> heard = [];
    private readonly ConcurrentDictionary<int, string> charges = [];
    private int order;

    public IReadOnlyList<Heard> Heard => [.. heard];

    public async Task LiveAsync()
    {
        var living = workload.InStep ? LiveInStepAsync() : Task.WhenAll(workload.Lives.Select(async life =>
        {
            foreach (var group in life.Groups) await TakeAsync(group);
        }));
        foreach (var minutes in workload.Minutes)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(30 * minutes), TimeProvider.System);
            await AdvanceAsync(minutes);
        }

        await living;
    }

    /// <summary>Sends every key once more, those of one life in their order.</summary>
    public Task RepeatAsync(int round) => Task.WhenAll(workload.Lives.Select(async life =>
    {
        foreach (var step in life.Groups.SelectMany(group => group)) await SendAsync(step, twin: 9, round);
    }));

    private async Task LiveInStepAsync()
    {
        for (var group = 0; group < workload.Lives.Max(life => life.Groups.Count); group++)
            await Task.WhenAll(workload.Lives.Where(life => life.Groups.Count > group).Select(life => TakeAsync(life.Groups[group])));
    }

    private Task TakeAsync(IReadOnlyList<Step> group) =>
        Task.WhenAll(group.SelectMany(step => Enumerable.Range(0, step.Twins).Select(twin => SendUntilSettledAsync(step, twin))));

    private async Task AdvanceAsync(int minutes)
    {
        var process = await world.ProcessAsync();
        try
        {
            await new Api(process.Http, "").AdvanceAsync($"00:{minutes:D2}:00");
        }
        catch (Exception e) when (process.IsDead && e is HttpRequestException or OperationCanceledException or ObjectDisposedException)
        {
            // The process died on the way; where its clock stands is in storage.
        }
    }

    /// <summary>Sends a step once, and takes what comes. Null when it cannot be sent, because its charge was never heard of.</summary>
    public async Task<Heard?> SendAsync(Step step, int twin, int attempt)
    {
        if (PathOf(step) is not { } path) return null;
        var process = await world.ProcessAsync();
        var (work, begun) = (Workload.Work(workload.Seed, step, twin, attempt), Interlocked.Increment(ref order));
        ApiAnswer? answer = null;
        try
        {
            answer = await new Api(process.Http, keys[workload.Lives[step.Life].Merchant]).PostAsync(path, step.Body, step.Key, ("X-Request-ID", work));
        }
        catch (Exception e) when (process.IsDead && e is HttpRequestException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection went down with the process.
        }

        // A dead process answers nobody: what it said in its last moment is not heard.
        if (process.IsDead) answer = null;
        var one = new Heard(step, work, begun, Interlocked.Increment(ref order), answer);
        heard.Enqueue(one);
        if (step.Operation is Operation.Charge && one.Object is { } charge) charges.TryAdd(step.Life, charge);
        return one;
    }

    private async Task SendUntilSettledAsync(Step step, int twin)
    {
        for (var attempt = 0; attempt < step.Tries; attempt++)
        {
            var one = await SendAsync(step, twin, attempt);
            if (one is null || one.IsFinal || one.Answer is { Status: 422 }) return;
            await Task.Delay(TimeSpan.FromMilliseconds(5 << attempt), TimeProvider.System);
        }
    }

    private string? PathOf(Step step) => step.Operation is Operation.Charge ? "/v1/charges"
        : !charges.TryGetValue(step.Life, out var charge) ? null
        : step.Operation switch
        {
            Operation.Capture => $"/v1/charges/{charge}/capture",
            Operation.Cancel => $"/v1/charges/{charge}/cancel",
            _ => $"/v1/charges/{charge}/refunds",
        };
}
