using Harbour.Sandbox;

namespace Harbour.Tests;

/// <summary>A host and a storage of its own for each test, where what is there is what the test made.</summary>
public abstract class OwnHost(SandboxFixture sandbox) : IAsyncLifetime
{
    protected SandboxHost Host { get; private set; } = null!;
    protected HttpClient Http { get; private set; } = null!;

    /// <summary>The demo merchant.</summary>
    protected Api Shop { get; private set; } = null!;

    protected virtual SandboxOptions Options => new();

    public virtual async Task InitializeAsync()
    {
        Host = await sandbox.StartHostAsync(Options);
        Http = new HttpClient { BaseAddress = Host.BaseAddress };
        Shop = new Api(Http);
    }

    public virtual async Task DisposeAsync()
    {
        Http.Dispose();
        await Host.DisposeAsync();
    }
}
