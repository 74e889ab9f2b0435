using System.Collections.Immutable;
using System.Diagnostics.Metrics;
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
using Harbour.Providers.Stripe;
using Harbour.Risk;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Benchmarks;

/// <summary>The pure parts of the request path, one by one. What matters is their size beside a charge, which takes milliseconds.</summary>
[MemoryDiagnoser(displayGenColumns: false)]
[HideColumns(Column.Error, Column.StdDev, Column.Median)]
public class MicroBenchmarks : IDisposable
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
    private readonly StripeProvider stripe;
    private readonly ProviderCharge sent;

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

        stripe = new StripeProvider(
            configuration, (_, _) => new("sk_test_simulated"), TimeProvider.System, NullLogger<StripeProvider>.Instance,
            new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>(), _ => new Answering());
        sent = new ProviderCharge(
            "ch_" + ids.NewKey(), Mode.Test, amount, "card", "tok_visa", CaptureNow: true, ThreeDSecureRequest.Automatic, "mch_" + ids.NewKey(), null, null, "req_" + ids.NewKey());

        var now = TimeProvider.System.GetUtcNow();
        charge = new Charge
        {
            Id = ids.New<Charge>(),
            Mode = Mode.Test,
            Status = ChargeStatus.Succeeded,
            Amount = amount,
            Captured = amount.Minor,
            CaptureMethod = CaptureMethod.Automatic,
            Reference = "order-1001",
            Method = new ChargeMethod("card", new ProviderCard("visa", "4242", "US", "fp_4242")),
            Provider = new ChargeProvider("stripe", "pi_01k5t8xq3m9v7w2r4y6z8a0bcd", "primary"),
            Risk = RiskRules.Assess(amount, "card"),
            Settlement = new Settlement(Currency.HKD, 12_800, 606, 12_194, null, null),
            Metadata = ImmutableDictionary<string, string>.Empty,
            Version = 2,
            RequestId = "req_" + ids.NewKey(),
            CreatedAt = now,
            UpdatedAt = now,
        };
    }

    [GlobalCleanup]
    public void Dispose()
    {
        stripe.Dispose();
        GC.SuppressFinalize(this);
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

    /// <summary>All of a provider call but the network: the form, the deadline, the circuit, the answer's JSON.</summary>
    [Benchmark]
    public async Task<bool> CallStripe() => await stripe.CreateAsync(sent, CancellationToken.None) is ProviderOutcome.Known;

    [Benchmark]
    public bool FindCardNumber() => CardData.ContainsCardNumber(text.Body);

    [Benchmark]
    public string MaskLogLine() => CardData.Mask(text.LogLine);

    /// <summary>A Stripe without a network: it takes every payment at once.</summary>
    private sealed class Answering : HttpMessageHandler
    {
        private static readonly byte[] Payment =
            """
            {"id":"pi_1","object":"payment_intent","amount":12800,"amount_capturable":0,"amount_received":12800,"capture_method":"automatic","created":1767225600,
             "currency":"hkd","livemode":false,"metadata":{"harbour_charge":"ch_1","harbour_merchant":"mch_1"},"payment_method":"pm_visa","payment_method_types":["card"],"status":"succeeded",
             "latest_charge":{"id":"ch_1","object":"charge","amount":12800,"amount_captured":12800,"captured":true,"currency":"hkd","paid":true,"payment_intent":"pi_1","status":"succeeded",
               "outcome":{"network_status":"approved_by_network","risk_level":"normal","risk_score":12,"type":"authorized"},
               "payment_method_details":{"type":"card","card":{"brand":"visa","country":"US","exp_month":12,"exp_year":2034,"fingerprint":"fp_1","funding":"credit","last4":"4242","network":"visa"}}}}
            """u8.ToArray();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            await request.Content!.CopyToAsync(Stream.Null, cancellationToken);
            return new HttpResponseMessage { Content = new ByteArrayContent(Payment) };
        }
    }
}
