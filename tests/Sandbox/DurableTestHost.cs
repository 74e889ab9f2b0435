using System.Net.Http.Json;
using Harbour.Sandbox;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Sandbox;

/// <summary>A host with the test flows, and the client by which they are spoken to.</summary>
internal sealed class DurableTestHost(SandboxHost host, Probe probe) : IAsyncDisposable
{
    public static readonly Type[] Functions = [typeof(DurableTestFlows), typeof(DurableTestActivities)];

    public Probe Probe { get; } = probe;

    public SandboxHost Host { get; } = host;

    public DurableTaskClient Client { get; } = host.Services.GetRequiredService<DurableTaskClient>();

    public static async Task<DurableTestHost> StartAsync(SandboxFixture sandbox, string? storage = null, Probe? probe = null, SandboxRole role = SandboxRole.All, params Type[] more)
    {
        probe ??= new Probe();
        return new(await sandbox.StartHostAsync(TestApplication.Options(probe, [.. Functions, .. more]) with { Storage = storage, Role = role }), probe);
    }

    public Task<string> StartAsync(string flow, object? input = null, string? id = null) =>
        Client.ScheduleNewOrchestrationInstanceAsync(flow, input, new StartOrchestrationOptions(id));

    public async Task<OrchestrationMetadata> EndOfAsync(string id)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        return await Client.WaitForInstanceCompletionAsync(id, getInputsAndOutputs: true, patience.Token);
    }

    public async Task<T?> ResultOfAsync<T>(string flow, object? input = null)
    {
        var end = await EndOfAsync(await StartAsync(flow, input));
        Assert.True(end.RuntimeStatus == OrchestrationRuntimeStatus.Completed, $"{flow} is {end}");
        return end.ReadOutputAs<T>();
    }

    public async Task<OrchestrationMetadata> NowAsync(string id) => (await Client.GetInstanceAsync(id, getInputsAndOutputs: true))!;

    public Task<OrchestrationMetadata> StartedAsync(string id) => Client.WaitForInstanceStartAsync(id, getInputsAndOutputs: true);

    public async Task AdvanceAsync(TimeSpan by)
    {
        using var http = new HttpClient { BaseAddress = Host.BaseAddress, Timeout = TimeSpan.FromMinutes(5) };
        using var response = await http.PostAsJsonAsync("/sandbox/clock/advance", new { by = $"{(int)by.TotalHours}:{by.Minutes:00}:{by.Seconds:00}" });
        response.EnsureSuccessStatusCode();
    }

    public ValueTask DisposeAsync() => Host.DisposeAsync();
}
