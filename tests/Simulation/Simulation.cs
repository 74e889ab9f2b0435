using System.Globalization;
using Harbour.Foundation;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Simulation;

/// <summary>What one run did and found.</summary>
internal sealed record Run(Workload Workload, IReadOnlyList<string> Violations, IReadOnlyList<Heard> Heard, int Kills)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"""
        Seed {Workload.Seed} broke a promise:
          {string.Join("\n  ", Violations)}
        Replay it (its plan is the same; the machine may order things otherwise, so it is tried several times):
          SIMULATION_SEED={Workload.Seed} dotnet test tests --filter FullyQualifiedName~.SimulationTests
        The plan, {Kills} kills:
        {Workload.Describe()}
        What was heard:
          {string.Join("\n  ", Heard.OrderBy(one => one.Begun))}
        """);
}

/// <summary>One run: a workload lived through under faults, a day of quiet, and then a look at everything.</summary>
internal static class Simulation
{
    /// <summary>Longer than the time in which every open outcome is asked about at least four times, and absence has become final.</summary>
    private const string ADay = "26:00:00";

    public static async Task<Run> RunAsync(World world, int seed)
    {
        var workload = Workload.Plan(seed);
        var services = (await world.UseAsync(FaultPlan.None)).Services;
        var merchants = await Task.WhenAll(workload.Allowances.Select(allowance => World.AddMerchantAsync(services, allowance)));
        var payments = world.Stripe.Payments().Count;
        var processes = world.Processes;

        var clients = new Merchants(world, workload, [.. merchants.Select(merchant => merchant.Key)]);
        await world.UseAsync(workload.Faults);
        await clients.LiveAsync();
        await world.UseAsync(FaultPlan.None);
        await world.QuietAsync();

        // Every key is sent again before and after a quiet day: what a crash left is taken up, and what was answered is answered the
        // same. Where that began something that is open once more (its charge was not heard of before), it gets a day of its own.
        var kills = world.Processes - processes;
        var process = await world.ProcessAsync();
        var books = process.Services.GetRequiredService<Books>();
        await clients.RepeatAsync(0);
        await DayAsync();
        var violations = await AfterADayAsync();
        await clients.RepeatAsync(1);
        if ((await AfterADayAsync()).Count > 0)
        {
            await DayAsync();
            violations.AddRange(await AfterADayAsync());
            await clients.RepeatAsync(2);
        }

        violations.AddRange(await CheckAsync(process, workload, merchants, [.. world.Stripe.Payments().Skip(payments)], clients.Heard));
        return new Run(workload, violations, clients.Heard, kills);

        async Task<List<string>> AfterADayAsync() =>
            [.. (await Task.WhenAll(merchants.Select(merchant => Partition.ReadAsync(books, merchant.Book)))).SelectMany(Invariants.AfterADay)];

        async Task DayAsync()
        {
            await world.QuietAsync();
            await new Api(process.Http, "").AdvanceAsync(ADay);
        }
    }

    private static async Task<List<string>> CheckAsync(
        Process process, Workload workload, (Book Book, string Key)[] merchants, Harbour.Sandbox.Providers.SimulatedPayment[] provider, IReadOnlyList<Heard> heard)
    {
        var books = process.Services.GetRequiredService<Books>();
        var violations = new List<string>();
        foreach (var ((book, key), allowance) in merchants.Zip(workload.Allowances))
            violations.AddRange(await Invariants.OfBooksAsync(process.Services, new Api(process.Http, key), book, allowance, provider));

        var partitions = await Task.WhenAll(merchants.Select(merchant => Partition.ReadAsync(books, merchant.Book)));
        var charges = partitions.SelectMany(partition => partition.Charges).ToList();
        string[] objects = [.. charges.Select(charge => charge.Id.Value), .. partitions.SelectMany(partition => partition.Refunds).Select(refund => refund.Id.Value)];
        violations.AddRange(Invariants.OfAnswers(heard, objects, charges, provider));
        violations.AddRange(heard.GroupBy(one => one.Step.Key).Select(key => key.MaxBy(one => one.Begun)!)
            .Where(last => last.Answer is { Status: 202 or 500 or 503 } && workload.Lives[last.Step.Life].Token != "tok_provider_busy")
            .Select(last => $"A day later the key {last.Step.Key} is still not answered: {last}."));
        return violations;
    }
}
