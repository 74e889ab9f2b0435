using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text.Json;
using Azure.Data.Tables;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Sandbox;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Benchmarks;

/// <summary>
/// Measures GET /v1/balance of merchants that differ in nothing but their postings: few or many behind an advanced head, and many
/// of the last minutes with and without one. What is quoted is how often storage is asked and how much it answers, since those do
/// not depend on the machine.
/// </summary>
/// <remarks>
/// The postings are written with the SDK, because a commit stamps the time of writing and these have to be older. The heads are
/// written by commits: of the old postings with their known sum, of the new ones by taking the head as a debit does.
/// </remarks>
public static class BalanceRun
{
    private const int Few = 1_000, Recent = 20_000, Batch = 100, Writers = 4, WarmUps = 2, Calls = 7;
    private const long Amount = 12_194;

    /// <param name="Newest">How long ago the newest posting was made; they are spread evenly from here to <paramref name="Oldest"/>.</param>
    private sealed record Case(string Name, int Postings, TimeSpan Newest, TimeSpan Oldest, Book Book, HttpClient Client)
    {
        public List<(double Took, Traffic Traffic)> Measured { get; init; } = [];
    }

    public static async Task RunAsync(int many)
    {
        var wire = new Wire();
        await using var host = await SandboxHost.StartAsync(new SandboxOptions { Configure = builder => builder.Watch(wire) });
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
        await MeasureAsync(wire, cases);

        var advanced = cases[2] with { Name = $"{Recent} of the last 5 min, head advanced", Measured = [] };
        await TakeHeadAsync(host, advanced);
        await MeasureAsync(wire, advanced);
        Print([.. cases, advanced]);
    }

    /// <summary>Calls for each in turns, so that whatever else the machine does meets all alike.</summary>
    private static async Task MeasureAsync(Wire wire, params Case[] cases)
    {
        for (var i = 0; i < WarmUps + Calls; i++)
            foreach (var one in cases) await CallAsync(one, wire, counted: i >= WarmUps);
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

        var client = new HttpClient { BaseAddress = host.BaseAddress, Timeout = TimeSpan.FromMinutes(5) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return new Case(name, postings, newest, oldest, new Book(merchant.Id.Value, Mode.Test), client);
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
                ["Amount"] = Amount, ["Entry"] = "ent_" + ids.NewKey(), ["Type"] = "charge", ["Source"] = "ch_" + ids.NewKey(),
            })), cancellation));
    }

    /// <summary>Puts the head above postings that are all older than its cut.</summary>
    private static async Task HeadOfOldAsync(SandboxHost host, Case one)
    {
        var commit = host.Services.GetRequiredService<Books>().Begin(one.Book, "req_benchmark", "head.advance");
        commit.ReplaceHead(Account.MerchantAvailable, Currency.HKD, null, new Head(one.Postings * Amount, host.Clock.GetUtcNow() - Head.Lag));
        await commit.SubmitAsync();
    }

    /// <summary>Advances the head as a debit does: to a cut that lies <see cref="Head.Lag"/> behind.</summary>
    private static async Task TakeHeadAsync(SandboxHost host, Case one)
    {
        var commit = host.Services.GetRequiredService<Books>().Begin(one.Book, "req_benchmark", "head.advance");
        (await host.Services.GetRequiredService<LedgerBooks>().ReadAsync(one.Book, Account.MerchantAvailable, Currency.HKD)).Take(commit);
        await commit.SubmitAsync();
    }

    private static async Task CallAsync(Case one, Wire wire, bool counted)
    {
        var (before, started) = (wire.Traffic, Stopwatch.GetTimestamp());
        using var json = JsonDocument.Parse(await one.Client.GetStringAsync("/v1/balance"));
        var took = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        var available = json.RootElement.GetProperty("balances")[0].GetProperty("available").GetInt64();
        if (available != one.Postings * Amount) throw new InvalidOperationException($"The balance of '{one.Name}' is {available}, not {one.Postings * Amount}.");
        if (counted) one.Measured.Add((took, wire.Traffic - before));
    }

    private static void Print(Case[] cases)
    {
        Report.Table($"GET /v1/balance, {Calls} calls each; ratios to the first line",
        [
            ["postings", "storage reads", "bytes read", "ms", "ratio"],
            .. cases.Select(one => (string[])
            [
                one.Name, $"{one.Measured.Average(m => m.Traffic.Reads):F1}", $"{one.Measured.Average(m => m.Traffic.BytesRead):F0}", $"{Median(one):F0}",
                $"{Median(one) / Median(cases[0]):F2}",
            ]),
        ]);

        static double Median(Case one) => Ratio.Of(one.Measured.Select(m => m.Took)).Median;
    }
}
