using System.Globalization;
using System.Reflection;
using Harbour.Sandbox.Durable;
using Harbour.Sandbox.Providers;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox;

/// <summary>What a sandbox host is started with.</summary>
public sealed record SandboxOptions
{
    /// <summary>The value of <see cref="Data"/> that keeps nothing.</summary>
    public const string InMemory = ":memory:";

    /// <summary>The port on loopback; 0 takes any that is free.</summary>
    public int Port { get; init; }

    /// <summary>The directory that holds all data, or <see cref="InMemory"/>. Not used where <see cref="Storage"/> is set.</summary>
    public string Data { get; init; } = InMemory;

    /// <summary>The connection string of storage that runs already; then no Azurite is started or stopped.</summary>
    public string? Storage { get; init; }

    public SandboxRole Role { get; init; }

    public DurableOptions Durable { get; init; } = new();

    /// <summary>
    /// A simulated Stripe that runs already and outlives the host: as the real one does, it knows nothing of our restarts. Its
    /// owner ends it. Null starts one that ends with the host.
    /// </summary>
    public StripeSimulator? Stripe { get; init; }

    /// <summary>Changes services or configuration after all else has been set. For tests.</summary>
    public Action<FunctionsApplicationBuilder>? Configure { get; init; }

    /// <summary>Makes the application. Only the host's own tests put another one in Harbour's place.</summary>
    public Func<string[], FunctionsApplicationBuilder> Application { get; init; } = CreateHarbour;

    /// <summary>Puts the demo data into storage, after the services are built and before the first request is served.</summary>
    public Func<IServiceProvider, CancellationToken, Task> Seed { get; init; } = Sandbox.Seed.RunAsync;

    /// <summary>The classes in which functions are looked for: by default all of Harbour's.</summary>
    public IEnumerable<Type> FunctionClasses { get; init; } = typeof(SandboxOptions).Assembly.GetTypes();

    /// <summary>The project's own folder, where Azurite is installed and data is kept by default, wherever the program is started from.</summary>
    internal static string SandboxDirectory { get; } =
        typeof(SandboxOptions).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "SandboxDirectory").Value!;

    /// <summary>Harbour as it is deployed, and what the movable clock needs to know of it.</summary>
    private static FunctionsApplicationBuilder CreateHarbour(string[] args)
    {
        var builder = Harbour.Program.Create(args);
        builder.Services.AddSingleton<DueSource, JanitorLooks>();
        builder.Services.AddSingleton<DueSource, OutboxDrain>();
        return builder;
    }

    /// <summary>Reads SANDBOX_PORT (7071), SANDBOX_DATA (.data beside the project), SANDBOX_STORAGE and SANDBOX_ROLE.</summary>
    /// <exception cref="SandboxException">One of them can't be understood.</exception>
    public static SandboxOptions FromEnvironment()
    {
        var port = Read("SANDBOX_PORT") ?? "7071";
        if (!ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            throw new SandboxException($"SANDBOX_PORT is '{port}'; it has to be a port number, or 0 for any that is free.");

        return new SandboxOptions
        {
            Port = number,
            Data = Read("SANDBOX_DATA") ?? Path.Combine(SandboxDirectory, ".data"),
            Storage = Read("SANDBOX_STORAGE"),
            Role = Read("SANDBOX_ROLE") switch
            {
                null or "all" => SandboxRole.All,
                "http" => SandboxRole.Http,
                var other => throw new SandboxException($"SANDBOX_ROLE is '{other}'; it has to be 'http', or not set."),
            },
        };

        static string? Read(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
    }
}

/// <summary>What a host does of all that the sandbox does.</summary>
public enum SandboxRole
{
    /// <summary>Everything: there is one such host on a storage.</summary>
    All,

    /// <summary>Answers requests only, by the clock and with the settings of the first host: it stands for a worker that was scaled out.</summary>
    Http,
}
