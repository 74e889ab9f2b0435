using System.Runtime.CompilerServices;
using DurableTask.Core.Exceptions;
using DurableTask.Core.History;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// Writes what an instance is to take in and reads what is kept of it. In the host that has the engine, the engine is told at
/// once; a host without one leaves it a notice.
/// </summary>
internal sealed class SandboxDurableTaskClient(DurableStore store, Notices notices, Payloads payloads, TimeProvider clock, DurableEngine? engine) : DurableTaskClient("sandbox")
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);

    public override async Task<string> ScheduleNewOrchestrationInstanceAsync(
        TaskName orchestratorName, object? input = null, StartOrchestrationOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(orchestratorName.Name, nameof(orchestratorName));
        var now = clock.GetUtcNow();
        var id = options?.InstanceId ?? NewId(now);
        var row = new InstanceRow(id, orchestratorName, NewId(now), now) { Input = payloads.Serialize(input), StartAt = options?.StartAt?.ToUniversalTime(), UpdatedAt = now };
        await WriteAsync(id, async () =>
        {
            var there = await store.CreateAsync(row, cancellation);
            if (there.Execution != row.Execution) throw new OrchestrationAlreadyExistsException($"An orchestration with the instance id '{id}' already exists and is {there.Status}.");
        }, cancellation);
        return id;
    }

    public override Task RaiseEventAsync(string instanceId, string eventName, object? eventPayload = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(eventName);
        return SendAsync(instanceId, new EventRaisedEvent(-1, payloads.Serialize(eventPayload)) { Name = eventName }, cancellation);
    }

    public override Task TerminateInstanceAsync(string instanceId, TerminateInstanceOptions? options = null, CancellationToken cancellation = default) =>
        SendAsync(instanceId, new ExecutionTerminatedEvent(-1, payloads.Serialize(options?.Output)), cancellation);

    public override Task SuspendInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellation = default) =>
        SendAsync(instanceId, new ExecutionSuspendedEvent(-1, reason), cancellation);

    public override Task ResumeInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellation = default) =>
        SendAsync(instanceId, new ExecutionResumedEvent(-1, reason), cancellation);

    public override Task<OrchestrationMetadata> WaitForInstanceStartAsync(string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default) =>
        WaitAsync(instanceId, row => row.Status != OrchestrationRuntimeStatus.Pending, getInputsAndOutputs, cancellation);

    public override Task<OrchestrationMetadata> WaitForInstanceCompletionAsync(string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default) =>
        WaitAsync(instanceId, row => row.IsCompleted, getInputsAndOutputs, cancellation);

    public override async Task<OrchestrationMetadata?> GetInstanceAsync(string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellation = default) =>
        await store.ReadAsync(instanceId, cancellation) is { } row ? Describe(row, getInputsAndOutputs) : null;

    public override AsyncPageable<OrchestrationMetadata> GetAllInstancesAsync(OrchestrationQuery? filter = null) => new Found(this, filter ?? new());

    public override async Task<PurgeResult> PurgeInstanceAsync(string instanceId, CancellationToken cancellation = default) =>
        new(await store.PurgeAsync(instanceId, cancellation) ? 1 : 0);

    public override async Task<PurgeResult> PurgeAllInstancesAsync(PurgeInstancesFilter filter, CancellationToken cancellation = default)
    {
        var purged = 0;
        await foreach (var found in GetAllInstancesAsync(new(filter.CreatedFrom, filter.CreatedTo, filter.Statuses)).WithCancellation(cancellation))
        {
            if (await store.PurgeAsync(found.InstanceId, cancellation)) purged++;
        }

        return new(purged);
    }

    public override async Task<IList<HistoryEvent>> GetOrchestrationHistoryAsync(string instanceId, CancellationToken cancellation = default) =>
        (await store.LoadAsync(instanceId, cancellation))?.History ?? throw new ArgumentException($"There is no orchestration with the id '{instanceId}'.", nameof(instanceId));

    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static string NewId(DateTimeOffset now) => Guid.CreateVersion7(now).ToString("N");

    /// <summary>To one that does not exist or has ended nothing is sent, as by the real client.</summary>
    private async Task SendAsync(string instanceId, HistoryEvent what, CancellationToken cancellation)
    {
        if (await store.ReadAsync(instanceId, cancellation) is not { IsCompleted: false }) return;
        var now = clock.GetUtcNow();
        await WriteAsync(instanceId, () => store.PutAsync(instanceId, new(Keys.InboxRow(now, NewId(now)), null, what), cancellation), cancellation);
    }

    private async Task WriteAsync(string instanceId, Func<Task> write, CancellationToken cancellation)
    {
        if (engine is null)
        {
            await notices.AroundAsync(instanceId, write, cancellation);
            return;
        }

        await write();
        engine.Look(instanceId);
    }

    private async Task<OrchestrationMetadata> WaitAsync(string instanceId, Func<InstanceRow, bool> until, bool payloadsToo, CancellationToken cancellation)
    {
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            // Asked for before the look, so that a step in between is not missed.
            var next = engine?.NextStepOf(instanceId);
            if (await store.ReadAsync(instanceId, cancellation) is { } row && until(row)) return Describe(row, payloadsToo);
            var pause = Task.Delay(next is null ? LookEvery : 10 * LookEvery, TimeProvider.System, cancellation);
            await (next is null ? pause : Task.WhenAny(next, pause));
        }
    }

    private OrchestrationMetadata Describe(InstanceRow row, bool payloadsToo) => new(row.Name, row.InstanceId)
    {
        DataConverter = payloadsToo ? payloads : null,
        RuntimeStatus = row.Status,
        CreatedAt = row.CreatedAt,
        LastUpdatedAt = row.UpdatedAt,
        SerializedInput = payloadsToo ? row.Input : null,
        SerializedOutput = payloadsToo ? row.Output : null,
        SerializedCustomStatus = payloadsToo ? row.CustomStatus : null,
        FailureDetails = row.Failure is { } failure ? Payloads.ToSdk(failure) : null,
    };

    private sealed class Found(SandboxDurableTaskClient client, OrchestrationQuery query) : AsyncPageable<OrchestrationMetadata>
    {
        public override IAsyncEnumerable<Page<OrchestrationMetadata>> AsPages(string? continuationToken = null, int? pageSizeHint = null) =>
            client.FindAsync(query, continuationToken ?? query.ContinuationToken, pageSizeHint ?? query.PageSize);
    }

    private async IAsyncEnumerable<Page<OrchestrationMetadata>> FindAsync(
        OrchestrationQuery query, string? continuation, int size, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await foreach (var page in store.FindAsync(query, continuation, size, cancellation))
            yield return new([.. page.Values.Select(e => Describe(InstanceRow.From(e), query.FetchInputsAndOutputs))], page.ContinuationToken);
    }
}
