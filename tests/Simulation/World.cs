using System.Collections.Concurrent;
using System.Globalization;
using Azure.Core;
using Azure.Data.Tables;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Harbour.Providers.Stripe;
using Harbour.Sandbox;
using Harbour.Sandbox.Providers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Tests.Simulation;

/// <summary>
/// One process of the platform: a sandbox host whose every call to storage and to the provider goes over a wire that the plan
/// disturbs, and that a kill cuts. A killed process can no longer do anything to the world, and what it still answers is not
/// heard; for the world that is what SIGKILL is.
/// </summary>
internal sealed class Process : IAsyncDisposable
{
    /// <summary>The name of all work that no request caused: timers, orchestrations, the bus.</summary>
    public const string Timers = "timers";

    private static readonly AsyncLocal<Work?> Current = new();

    private readonly TaskCompletionSource death = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Work timers = new(Timers);
    private SandboxHost host = null!;

    private Process(World world) => World = world;

    public World World { get; }
    public HttpClient Http { get; private set; } = null!;
    public IServiceProvider Services => host.Services;
    public MovableClock Clock => host.Clock;
    public bool IsDead => death.Task.IsCompleted;
    public Task Death => death.Task;
    public FaultPlan Plan { get; set; } = FaultPlan.None;
    public Work CurrentWork => Current.Value ?? timers;

    public static async Task<Process> StartAsync(World world, string storage, StripeSimulator stripe)
    {
        var process = new Process(world);
        process.host = await SandboxHost.StartAsync(new SandboxOptions { Storage = storage, Stripe = stripe, Configure = process.Configure });
        process.Http = new HttpClient { BaseAddress = process.host.BaseAddress, Timeout = TimeSpan.FromSeconds(30) };
        return process;
    }

    public void Kill() => death.TrySetResult();

    public void ThrowIfDead()
    {
        if (IsDead) throw new KilledException();
    }

    public async Task WaitAsync(TimeSpan time)
    {
        await Task.WhenAny(Death, Task.Delay(time, TimeProvider.System));
        ThrowIfDead();
    }

    /// <summary>Frees what it holds. Of a dead process nothing of this reaches the world: its wires are cut.</summary>
    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await host.DisposeAsync();
    }

    private void Configure(FunctionsApplicationBuilder builder)
    {
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection([
            new("Stripe:TimeoutSeconds", World.ProviderDeadline.TotalSeconds.ToString(CultureInfo.InvariantCulture)),
            new("Stripe:RetryDelayMilliseconds", "2"),
        ]);
        builder.Services.AddSingleton<StripeWire>(inner => new ProviderWire(this, inner));
        builder.Services.AddSingleton<Action<TableClientOptions>>(options =>
        {
            options.Retry.Delay = options.Retry.MaxDelay = TimeSpan.FromMilliseconds(2);
            options.AddPolicy(new StorageWire(this), HttpPipelinePosition.PerRetry);
        });
        builder.Services.AddSingleton<IStartupFilter>(new NamesWork());
    }

    /// <summary>Everything that a request causes is work of the try that sent it.</summary>
    private sealed class NamesWork : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((http, inner) =>
            {
                if (http.Request.Headers["X-Request-ID"].ToString() is { Length: > 0 } name) Current.Value = new Work(name);
                return inner(http);
            });
            next(app);
        };
    }
}

/// <summary>A storage, a simulated Stripe, and one process at a time between them; the first two outlive every process.</summary>
internal sealed class World : IAsyncDisposable
{
    /// <summary>As long as a call takes on a busy machine, and short enough that hundreds of time-outs can be waited for.</summary>
    public static readonly TimeSpan ProviderDeadline = TimeSpan.FromMilliseconds(250);

    private readonly string storage;
    private readonly SemaphoreSlim starting = new(1);
    private readonly ConcurrentDictionary<Task, bool> landings = [];
    private readonly ConcurrentBag<IDisposable> leftovers = [];
    private Process process = null!;
    private int started;

    private World(string storage) => this.storage = storage;

    public StripeSimulator Stripe { get; private set; } = null!;

    /// <summary>How many processes there were.</summary>
    public int Processes => started;

    public static async Task<World> StartAsync(string storage)
    {
        var world = new World(storage);
        world.Stripe = await StripeSimulator.StartAsync(null, new CurrentTime(world));
        await world.RestartAsync();
        return world;
    }

    /// <summary>The process that serves now; a dead one is replaced first, as a supervisor would.</summary>
    public async Task<Process> ProcessAsync()
    {
        if (!process.IsDead) return process;
        await starting.WaitAsync();
        try
        {
            if (!process.IsDead) return process;
            var plan = process.Plan;
            await process.DisposeAsync();
            await RestartAsync();
            process.Plan = plan;
            return process;
        }
        finally
        {
            starting.Release();
        }
    }

    public async Task<Process> UseAsync(FaultPlan plan)
    {
        var alive = await ProcessAsync();
        alive.Plan = plan;
        return alive;
    }

    /// <summary>Waits until nothing is on its way to the provider any more.</summary>
    public async Task QuietAsync()
    {
        while (landings.Keys.ToList() is { Count: > 0 } under) await Task.WhenAll(under.Select(task => task.ContinueWith(_ => { }, TaskScheduler.Default)));
    }

    public Task<T> Track<T>(Task<T> landing)
    {
        landings[landing] = true;
        _ = landing.ContinueWith(
            ended =>
            {
                _ = ended.Exception;
                landings.TryRemove(landing, out _);
            },
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return landing;
    }

    public void DisposeWhenQuiet(IDisposable connection) => leftovers.Add(connection);

    /// <summary>A new merchant with a key of its own.</summary>
    /// <param name="allowance">How far refunds may take its balance below zero, in minor units of each currency.</param>
    public static async Task<(Book Book, string Key)> AddMerchantAsync(IServiceProvider services, long allowance)
    {
        var ids = services.GetRequiredService<Ids>();
        var merchant = Merchant.OnStandardTerms(ids.New<Merchant>(), "Simulated Limited");
        var allowances = merchant.RefundAllowance.Keys.Aggregate(merchant.RefundAllowance, (all, currency) => all.SetItem(currency, allowance));
        await services.GetRequiredService<MerchantStore>().AddAsync(merchant with { RefundAllowance = allowances, RequestsPerSecond = 10_000, Burst = 20_000 });

        var key = ApiKey.Make(Mode.Test, ids).Reveal();
        var proof = ApiKey.ProofOf(key, await services.GetRequiredService<SecretReader>().ReadAsync(ApiKey.PepperSecret, CancellationToken.None));
        await services.GetRequiredService<CredentialStore>().AddAsync(new Credential(
            ids.New<Credential>(), merchant.Id, Mode.Test, CredentialKind.Key, Handles.OfKey(proof), proof, Scopes.All, AllowList.Everyone));
        return (new Book(merchant.Id.Value, Mode.Test), key);
    }

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync();
        await QuietAsync();
        while (leftovers.TryTake(out var leftover)) leftover.Dispose();
        await Stripe.DisposeAsync();
        starting.Dispose();
    }

    private async Task RestartAsync()
    {
        process = await Process.StartAsync(this, storage, Stripe);
        Interlocked.Increment(ref started);
    }

    /// <summary>The time by which the simulated Stripe lives: the platform's, whichever process serves.</summary>
    private sealed class CurrentTime(World world) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => world.process?.Clock.GetUtcNow() ?? System.GetUtcNow();
    }
}
