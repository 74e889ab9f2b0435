using Azure;
using Azure.Data.Tables;
using Harbour.Sandbox.Bus;
using Harbour.Sandbox.Durable;
using Harbour.Sandbox.Providers;
using Harbour.Sandbox.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox;

/// <summary>
/// Harbour in one process: the function classes of functions/ behind a web server on loopback, on real Azurite, by a clock
/// that can be moved. Many may run in one process, since nothing here is global; tests do that.
/// </summary>
public sealed class SandboxHost : IAsyncDisposable
{
    /// <summary>What the real host takes in; Harbour's own limits are far lower.</summary>
    private const long LargestBody = 100 * 1024 * 1024;

    // What has been started, in order; it is ended in the reverse one.
    private readonly Stack<IAsyncDisposable> _started = new();
    private readonly SandboxOptions _options;
    private readonly ILogger _logger;
    private WebApplication _app = null!;
    private bool _stopped;

    private SandboxHost(SandboxOptions options, ILogger logger) => (_options, _logger) = (options, logger);

    public Uri BaseAddress { get; private set; } = null!;

    public IServiceProvider Services => _app.Services;

    public string StorageConnectionString { get; private set; } = "";

    /// <summary>The simulated Stripe; null in a second host, which reaches the first one's.</summary>
    public StripeSimulator? Stripe { get; private set; }

    public MovableClock Clock { get; } = new(TimeProvider.System);

    /// <summary>Starts a host; once this returns it serves.</summary>
    /// <exception cref="SandboxException">It can't start, and the message says what to do.</exception>
    public static async Task<SandboxHost> StartAsync(SandboxOptions options, CancellationToken cancellation = default)
    {
        var loggers = LoggerFactory.Create(l => l.AddSandboxConsole());
        var host = new SandboxHost(options, loggers.CreateLogger<SandboxHost>());
        host._started.Push(new Ended(loggers));
        try
        {
            await host.StartAsync(cancellation);
            return host;
        }
        catch
        {
            await host.StopAsync();
            throw;
        }
    }

    /// <summary>Lets running requests end, then ends everything in the reverse order of its start; storage comes last.</summary>
    public async Task StopAsync()
    {
        if (_stopped) return;
        _stopped = true;
        while (_started.TryPop(out var started)) await started.DisposeAsync();
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task StartAsync(CancellationToken cancellation)
    {
        var sockets = LoopbackSockets.Bind(_options.Port);
        _started.Push(new Ended(sockets));
        BaseAddress = new Uri($"http://localhost:{sockets.Port}");

        StorageConnectionString = await StartStorageAsync(cancellation);
        var table = await OpenTableAsync(cancellation);
        var clockStore = new ClockStore(table);
        Clock.Set(await clockStore.ReadAsync(cancellation));

        var settings = await MakeSettingsAsync(new SharedSettings(table), cancellation);
        _app = Build(settings, sockets, clockStore);
        _started.Push(_app);
        var timeline = MakeTimeline(table, clockStore);
        _app.MapClock(Clock, timeline);
        MapSandboxEndpoints(_app);

        if (_options.Role == SandboxRole.All) await _options.Seed(Services, cancellation);
        await _app.StartAsync(cancellation);
        _started.Push(new Ended(() => _app.StopAsync(CancellationToken.None)));
        if (timeline is null) return;
        var engine = Services.GetRequiredService<DurableEngine>();
        _started.Push(engine);
        await engine.StartAsync(cancellation);
        var bus = Services.GetRequiredService<BusDispatcher>();
        await bus.StartAsync(cancellation);
        _started.Push(bus);
        await timeline.StartAsync(cancellation);
        _started.Push(timeline);
    }

    /// <summary>The connection string of the storage that was given, or of an Azurite started for this host.</summary>
    private async Task<string> StartStorageAsync(CancellationToken cancellation)
    {
        if (_options.Storage is { } given) return given;
        if (_options.Role == SandboxRole.Http)
            throw new SandboxException("SANDBOX_ROLE=http makes a second host: set SANDBOX_STORAGE to the connection string of the first one's storage.");

        Azurite azurite;
        if (_options.Data == SandboxOptions.InMemory)
        {
            azurite = await Azurite.StartInMemoryAsync([Azurite.DefaultAccount], _logger, cancellation);
        }
        else
        {
            var data = DataDirectory.Open(_options.Data);
            _started.Push(new Ended(data));
            azurite = await Azurite.StartAsync(data.Path, _logger, cancellation);
        }

        _started.Push(azurite);
        return azurite.ConnectionString;
    }

    /// <summary>The table in which the sandbox keeps what is its own: clock, settings, schedules.</summary>
    private async Task<TableClient> OpenTableAsync(CancellationToken cancellation)
    {
        try
        {
            var table = new TableClient(StorageConnectionString, "sandbox");
            await table.CreateIfNotExistsAsync(cancellation);
            await new DurableStore(StorageConnectionString).EnsureTableAsync(cancellation);
            return table;
        }
        catch (Exception e) when (_options.Storage is not null
            && e is RequestFailedException or AggregateException or FormatException or InvalidOperationException or ArgumentException)
        {
            throw new SandboxException($"The storage of SANDBOX_STORAGE can't be used: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>The configuration that the functions see. A second host takes over what the first one published, its public address included.</summary>
    private async Task<Dictionary<string, string?>> MakeSettingsAsync(SharedSettings shared, CancellationToken cancellation)
    {
        var settings = new Dictionary<string, string?>();
        if (_options.Role == SandboxRole.Http)
        {
            settings = await shared.ReadAllAsync(cancellation);
            settings["Outbox:Pump"] = "false";
        }
        else
        {
            settings["Public:BaseUrl"] = BaseAddress.GetLeftPart(UriPartial.Authority);
            await StartProvidersAsync(settings);
            await shared.PublishAsync(settings, cancellation);
            await Secrets.AddToAsync(settings, shared, cancellation);
        }

        settings["Storage:ConnectionString"] = StorageConnectionString;
        settings["Webhooks:AllowLocalTargets"] = "true";
        settings[Seed.UncheckedKeyPrefixSetting] = Seed.UncheckedKeyPrefix;
        return settings;
    }

    private WebApplication Build(Dictionary<string, string?> settings, LoopbackSockets sockets, ClockStore clockStore)
    {
        var builder = _options.Application([]);
        builder.Configuration.AddInMemoryCollection(settings);
        builder.WebHost.UseSockets(o => o.CreateBoundListenSocket = sockets.Take);
        builder.WebHost.ConfigureKestrel(o =>
        {
            o.AddServerHeader = false;
            o.Limits.MaxRequestBodySize = LargestBody;
            foreach (var endPoint in sockets.EndPoints) o.Listen(endPoint);
        });

        var services = builder.Services;
        services.AddSingleton<IHostLifetime, Unattended>();
        services.AddSingleton(new FunctionCatalogue(_options.FunctionClasses));
        services.AddSingleton<InvocationGate>();
        services.AddSingleton(new ClockFollower(_options.Role == SandboxRole.Http ? async c => Clock.Set(await clockStore.ReadAsync(c)) : null));
        services.AddSingleton<FunctionRunner>();
        services.AddDurable(StorageConnectionString, _options.Durable, hasEngine: _options.Role == SandboxRole.All);
        services.RemoveAll<TimeProvider>();
        services.AddSingleton<TimeProvider>(Clock);
        services.AddBus(StorageConnectionString, _options.Role);
        _options.Configure?.Invoke(builder);
        return (WebApplication)builder.Build();
    }

    /// <summary>Null in a host that only answers requests.</summary>
    private Timeline? MakeTimeline(TableClient table, ClockStore clockStore)
    {
        if (_options.Role == SandboxRole.Http) return null;
        var logger = Services.GetRequiredService<ILogger<Timeline>>();
        var runner = Services.GetRequiredService<FunctionRunner>();
        var timers = Services.GetRequiredService<FunctionCatalogue>().StartedBy<TimerTriggerAttribute>()
            .Select(t => new TimerFunction(t.Function, t.Trigger, runner, table, logger));
        return new(Clock, clockStore, Services.GetRequiredService<InvocationGate>(), timers, Services.GetServices<DueSource>(), logger);
    }

    /// <summary>Starts the simulated providers, before the host is built, and says in the settings where they are reached.</summary>
    private async Task StartProvidersAsync(Dictionary<string, string?> settings)
    {
        if (_options.Stripe is { } given)
        {
            Stripe = given;
        }
        else
        {
            Stripe = await StripeSimulator.StartAsync(_options.Data == SandboxOptions.InMemory ? null : _options.Data, Clock);
            _started.Push(Stripe);
        }

        Stripe.PublicAddress = BaseAddress;
        settings["Stripe:BaseUrl"] = Stripe.BaseAddress.GetLeftPart(UriPartial.Authority);
        settings["Secrets:stripe-secret-key-test"] = "sk_test_simulated";
        settings["Secrets:stripe-secret-key-live"] = "sk_live_simulated";
    }

    /// <summary>Maps what the sandbox serves under /sandbox besides the clock.</summary>
    private void MapSandboxEndpoints(WebApplication app)
    {
        app.MapBus();
        if (Stripe is { } stripe) app.MapProviders(stripe);
    }

    /// <summary>The host is started and stopped by its owner; many in one process must not all listen for Ctrl+C.</summary>
    private sealed class Unattended : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    /// <summary>Lets whatever has to be ended stand in one list.</summary>
    private sealed class Ended(Func<Task> end) : IAsyncDisposable
    {
        public Ended(IDisposable disposable) : this(() =>
        {
            disposable.Dispose();
            return Task.CompletedTask;
        })
        {
        }

        public async ValueTask DisposeAsync() => await end();
    }
}
