using System.Diagnostics.Metrics;
using System.Globalization;
using Harbour.Foundation;
using Harbour.Providers.Stripe;
using Harbour.Sandbox.Providers;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Providers;

/// <summary>The Stripe connector and the simulated Stripe, joined by real HTTP.</summary>
internal sealed class StripeRig : IAsyncDisposable
{
    private readonly ServiceProvider patient;
    private readonly Lazy<ServiceProvider> impatient;

    private StripeRig(StripeSimulator simulator, FakeTimeProvider time, StripeWire? wire, StripeKey? key)
    {
        (Simulator, Time) = (simulator, time);
        patient = Services(TimeSpan.FromSeconds(30), wire, key);
        impatient = new(() => Services(TimeSpan.FromSeconds(1), wire, key));
    }

    public StripeSimulator Simulator { get; }
    public FakeTimeProvider Time { get; }

    /// <summary>The connector, with a deadline that no test waits for.</summary>
    public StripeProvider Provider => patient.GetRequiredService<StripeProvider>();

    /// <summary>The connector, with a deadline that a test can wait for.</summary>
    public StripeProvider Impatient => impatient.Value.GetRequiredService<StripeProvider>();

    public IMeterFactory Meters => patient.GetRequiredService<IMeterFactory>();

    /// <param name="wire">What disturbs or watches the connection.</param>
    /// <param name="directory">Where the simulated Stripe keeps its journal, if it does.</param>
    public static async Task<StripeRig> StartAsync(StripeWire? wire = null, StripeKey? key = null, string? directory = null)
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 10, 0, 0, TimeSpan.FromHours(8)));
        return new StripeRig(await StripeSimulator.StartAsync(directory, time), time, wire, key);
    }

    public async ValueTask DisposeAsync()
    {
        await patient.DisposeAsync();
        if (impatient.IsValueCreated) await impatient.Value.DisposeAsync();
        await Simulator.DisposeAsync();
    }

    private ServiceProvider Services(TimeSpan deadline, StripeWire? wire, StripeKey? key)
    {
        var services = new ServiceCollection()
            .AddLogging()
            .AddSingleton<TimeProvider>(Time)
            .AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
            {
                ["Stripe:BaseUrl"] = Simulator.BaseAddress.ToString(),
                ["Stripe:TimeoutSeconds"] = deadline.TotalSeconds.ToString(CultureInfo.InvariantCulture),
                ["Stripe:RetryDelayMilliseconds"] = "1",
            }).Build())
            .AddSingleton(key ?? ((mode, _) => ValueTask.FromResult(mode is Mode.Live ? "sk_live_rig" : "sk_test_rig")))
            .AddStripe();
        if (wire is not null) services.AddSingleton(wire);
        return services.BuildServiceProvider();
    }
}
