using System.Diagnostics;
using Azure.Data.Tables;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Sandbox;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Benchmarks;

/// <summary>
/// Measures balance reads and refunds of merchants that differ in nothing but their postings: few or many behind an advanced head,
/// and many of the last minutes before and after the head is advanced. What is quoted is how often storage is asked and how much it
/// answers, since those do not depend on the machine.
/// </summary>
/// <remarks>
/// The postings are written with the SDK, because a commit stamps the time of writing and these have to be older. The heads are
/// written by commits: over the old postings with their known sum, over the new ones by the ledger itself, as its timer does.
/// </remarks>
public static class BalanceRun
{
    private const int Few = 1_000, Recent = 20_000, Batch = 100, Writers = 4, WarmUps = 2, Calls = 7;
    private const long Amount = 12_194;

    /// <param name="Newest">How long ago the newest posting was made; they are spread evenly from here to <paramref name="Oldest"/>.</param>
    private sealed record Case(string Name, int Postings, TimeSpan Newest, TimeSpan Oldest, Book Book, Client Client);

    private sealed record Cost(string Name, List<double> Took, List<Traffic> Traffic)
    {
        public double Median => Ratio.Of(Took).Median;
    }

    public static async Task RunAsync(int many)
    {
        var wire = new Wire();
        await using var host = await SandboxHost.StartAsync(Host.Watched(wire));
        var (hour, day, minutes) = (TimeSpan.FromHours(1), TimeSpan.FromDays(1), TimeSpan.FromMinutes(5));
        Case[] cases =
        [
            await AddAsync(host, 1, $"{Few} old, head advanced", Few, hour, day),
            await AddAsync(host, 2, $"{many} old, head advanced", many, hour, day),
            await AddAsync(host, 3, $"{Recent} of the last 5 min, no head yet", Recent, TimeSpan.Zero, minutes),
        ];

        Console.WriteLine($"Writing {cases.Sum(c => c.Postings)} postings");
        foreach (var one in cases) await WriteAsync(host, one);
        await HeadOfOldAsync(host, cases[0]);
        await HeadOfOldAsync(host, cases[1]);
        var early = await MeasureAsync(wire, BalanceAsync, cases);
        await AdvanceAsync(host, cases[2]);
        var late = await MeasureAsync(wire, BalanceAsync, cases[2]);
        Print("GET /v1/balance", [.. early, late[0] with { Name = cases[2].Name.Replace("no head yet", "head advanced", StringComparison.Ordinal) }]);

        var charges = new Dictionary<Case, string>();
        foreach (var one in cases) charges[one] = await one.Client.ChargeAsync();
        var refunds = await MeasureAsync(wire, one => one.Client.RefundAsync(charges[one]), cases);
        Print("POST /v1/charges/{id}/refunds", [.. refunds.Select(r => r with { Name = r.Name.Replace("no head yet", "head advanced", StringComparison.Ordinal) })]);
        foreach (var one in cases) one.Client.Dispose();
    }

    private static async Task BalanceAsync(Case one)
    {
        var (found, right) = (await one.Client.AvailableAsync(), one.Postings * Amount);
        if (found != right) throw new InvalidOperationException($"The balance of '{one.Name}' is {found}, not {right}.");
    }

    /// <summary>Calls for each in turns, so that whatever else the machine does meets all alike.</summary>
    private static async Task<Cost[]> MeasureAsync(Wire wire, Func<Case, Task> call, params Case[] cases)
    {
        var costs = cases.Select(one => new Cost(one.Name, [], [])).ToArray();
        for (var i = 0; i < WarmUps + Calls; i++)
        {
            foreach (var (one, cost) in cases.Zip(costs))
            {
                var (before, started) = (wire.Traffic, Stopwatch.GetTimestamp());
                await call(one);
                if (i < WarmUps) continue;
                cost.Took.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
                cost.Traffic.Add(wire.Traffic - before);
            }
        }

        return costs;
    }

    /// <summary>Adds a merchant with a key of its own.</summary>
    private static async Task<Case> AddAsync(SandboxHost host, int number, string name, int postings, TimeSpan newest, TimeSpan oldest)
    {
        var (services, key) = (host.Services, $"sk_test_{Seed.UncheckedKeyPrefix}balance{number}");
        var merchant = Merchant.OnStandardTerms(Id<Merchant>.Parse($"mch_{100 + number:D26}"), name);
        await services.GetRequiredService<MerchantStore>().AddAsync(merchant);
        var proof = ApiKey.ProofOf(key, await services.GetRequiredService<SecretReader>().ReadAsync(ApiKey.PepperSecret));
        await services.GetRequiredService<CredentialStore>().AddAsync(new Credential(
            Id<Credential>.Parse($"key_{100 + number:D26}"), merchant.Id, Mode.Test, CredentialKind.Key, Handles.OfKey(proof), proof, Scopes.All, AllowList.Parse([])));

        return new Case(name, postings, newest, oldest, new Book(merchant.Id.Value, Mode.Test), new Client(host.BaseAddress, key));
    }

    /// <summary>Writes the postings as a commit would, but with times of the past.</summary>
    private static async Task WriteAsync(SandboxHost host, Case one)
    {
        var table = new TableClient(host.StorageConnectionString, Books.Table);
        await table.CreateIfNotExistsAsync();
        var (ids, now) = (host.Services.GetRequiredService<Ids>(), host.Clock.GetUtcNow());
        var step = (one.Oldest - one.Newest) / one.Postings;
        await Parallel.ForEachAsync(Enumerable.Range(0, one.Postings).Chunk(Batch), new ParallelOptions { MaxDegreeOfParallelism = Writers }, async (numbers, cancellation) =>
            await table.SubmitTransactionAsync(numbers.Select(n => new TableTransactionAction(TableTransactionActionType.Add, new TableEntity(
                one.Book.Partition, LedgerKeys.Posting(Account.MerchantAvailable, Currency.HKD, now - one.Newest - step * n, "pst_" + ids.NewKey()))
            {
                ["Amount"] = Amount,
                ["Entry"] = "ent_" + ids.NewKey(),
                ["Type"] = "charge",
                ["Source"] = "ch_" + ids.NewKey(),
            })), cancellation));
    }

    /// <summary>Puts the head above postings that are all older than its cut.</summary>
    private static async Task HeadOfOldAsync(SandboxHost host, Case one)
    {
        var (sum, cut) = (one.Postings * Amount, Head.CutAt(host.Clock.GetUtcNow()));
        var commit = host.Services.GetRequiredService<Books>().Begin(one.Book, "req_benchmark", "ledger.advance");
        commit.ReplaceHead(Account.MerchantAvailable, Currency.HKD, null, new Head(sum, cut, sum, cut));
        await commit.SubmitAsync();
    }

    private static Task AdvanceAsync(SandboxHost host, Case one) =>
        host.Services.GetRequiredService<LedgerBooks>().AdvanceAsync(one.Book, "req_benchmark");

    private static void Print(string what, Cost[] costs) => Report.Table($"{what}, {Calls} calls each; ratios to the first line",
    [
        ["postings", "storage reads", "transactions", "KiB read", "ms", "ratio"],
        .. costs.Select(cost => (string[])
        [
            cost.Name, $"{cost.Traffic.Average(t => t.Reads):F1}", $"{cost.Traffic.Average(t => t.Transactions):F1}", $"{cost.Traffic.Average(t => t.BytesRead) / 1024:F0}",
            $"{cost.Median:F0}", $"{cost.Median / costs[0].Median:F2}",
        ]),
    ]);
}
