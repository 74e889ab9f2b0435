using Harbour.Sandbox;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Tests;

/// <summary>Marks the test classes that share one Azurite; they run one after the other.</summary>
[CollectionDefinition(nameof(UsesSandbox))]
public sealed class UsesSandbox : ICollectionFixture<SandboxFixture>;

/// <summary>
/// One Azurite in memory for all tests, and Harbour on it. A test that needs a host of its own starts one on a storage of
/// its own: an account that nobody else has.
/// </summary>
public sealed class SandboxFixture : IAsyncLifetime
{
    private static readonly string[] Accounts = [.. Enumerable.Range(1, 400).Select(n => $"tests{n}")];

    private Azurite _azurite = null!;
    private int _handedOut;

    /// <summary>Harbour itself, as <c>dotnet run --project sandbox</c> serves it. Tests share it, so each makes what it reads.</summary>
    public SandboxHost Host { get; private set; } = null!;

    /// <summary>Speaks to <see cref="Host"/>.</summary>
    public HttpClient Client { get; private set; } = null!;

    /// <summary>The connection string of an empty storage.</summary>
    public string NewStorage() => _azurite.ConnectionStringFor(Accounts[Interlocked.Increment(ref _handedOut) - 1]);

    /// <summary>Starts a host on any free port; on an empty storage, unless the options name one. The caller disposes it.</summary>
    public Task<SandboxHost> StartHostAsync(SandboxOptions options) =>
        SandboxHost.StartAsync(options with { Storage = options.Storage ?? NewStorage() });

    public async Task InitializeAsync()
    {
        _azurite = await Azurite.StartInMemoryAsync(Accounts, NullLogger.Instance, CancellationToken.None);
        Host = await StartHostAsync(new SandboxOptions());
        Client = new HttpClient { BaseAddress = Host.BaseAddress };
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        await Host.DisposeAsync();
        await _azurite.DisposeAsync();
    }
}
