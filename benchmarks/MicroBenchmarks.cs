using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Harbour.Access;
using Harbour.Charges;
using Harbour.Foundation;
using Harbour.Providers;
using Harbour.Risk;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Benchmarks;

/// <summary>The pure parts of the request path, one by one. What matters is their size beside a charge, which takes milliseconds.</summary>
[MemoryDiagnoser(displayGenColumns: false)]
[HideColumns(Column.Error, Column.StdDev, Column.Median)]
public class MicroBenchmarks
{
    private const string Body =
        """{"amount":12800,"currency":"HKD","payment_method":{"type":"card","token":"tok_visa"},"reference":"order-1001","description":"Dim sum for two","metadata":{"table":"12","waiter":"Mei"}}""";

    private const string LogLine = "stripe create known in 12 ms for ch_01k5t8xq3m9v7w2r4y6z8a0bcd, request req_01k5t8xq3m9v7w2r4y6z8a0bce, order 1001";

    private readonly ReadOnlyMemory<byte> bytes = Encoding.UTF8.GetBytes(Body);
    private readonly (string Body, string LogLine) text = (Body, LogLine);
    private readonly Money amount = new(12_800, Currency.HKD);
    private readonly Ids ids = new(TimeProvider.System);
    private readonly AccessTokens tokens;
    private readonly string token;
    private readonly Charge charge;

    public MicroBenchmarks()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Public:BaseUrl"] = "https://api.harbour.example",
            ["Secrets:oauth-signing-key"] = key.ExportPkcs8PrivateKeyPem(),
        }).Build();
        var secrets = new SecretReader(null, configuration, TimeProvider.System, NullLogger<SecretReader>.Instance);
        tokens = new AccessTokens(new SigningKeys(secrets), configuration, TimeProvider.System, ids);
        token = tokens.IssueAsync("harbour-demo", ["charges:read", "charges:write"]).GetAwaiter().GetResult().Reveal();

        var now = TimeProvider.System.GetUtcNow();
        charge = new Charge
        {
            Id = ids.New<Charge>(), Mode = Mode.Test, Status = ChargeStatus.Succeeded, Amount = amount, Captured = amount.Minor, CaptureMethod = CaptureMethod.Automatic,
            Reference = "order-1001", Method = new ChargeMethod("card", new ProviderCard("visa", "4242", "US", "fp_4242")),
            Provider = new ChargeProvider("stripe", "pi_01k5t8xq3m9v7w2r4y6z8a0bcd", "primary"), Risk = RiskRules.Assess(amount, "card"),
            Settlement = new Settlement(Currency.HKD, 12_800, 606, 12_194, null, null), Metadata = ImmutableDictionary<string, string>.Empty,
            Version = 2, RequestId = "req_" + ids.NewKey(), CreatedAt = now, UpdatedAt = now,
        };
    }

    /// <summary>Runs them in this process, since they need no isolation from each other and a build for each would take minutes.</summary>
    public static void Run(string[] args)
    {
        var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
        var config = ManualConfig.CreateEmpty()
            .AddJob(job).AddLogger(ConsoleLogger.Default).AddColumnProvider(DefaultColumnProviders.Instance)
            .WithArtifactsPath(Path.Combine(Path.GetTempPath(), "harbour-benchmarks"));
        BenchmarkRunner.Run<MicroBenchmarks>(config, args);
    }

    [Benchmark]
    public Money[] Allocate() => amount.Allocate(70, 25, 5);

    [Benchmark]
    public string NewId() => ids.NewKey();

    [Benchmark]
    public bool ReadRequest() => ChargeRequest.Read(bytes, Router.Methods).Ok(out _, out _);

    [Benchmark]
    public string HashRequest() => RequestHash.Of("POST", "/v1/charges", bytes);

    [Benchmark]
    public byte[] WriteCharge() => Json.Bytes(ChargeView.Of(charge));

    [Benchmark]
    public async Task<bool> ReadToken() => (await tokens.ReadAsync(token)).Ok(out _, out _);

    [Benchmark]
    public bool FindCardNumber() => CardData.ContainsCardNumber(text.Body);

    [Benchmark]
    public string MaskLogLine() => CardData.Mask(text.LogLine);
}
