namespace Harbour.Sandbox.Durable;

/// <summary>
/// Keeps an orchestrator's code on one thread for the length of a step. What the code awaits comes back here and runs in order;
/// what comes from elsewhere shows that the code awaited something that a replay could not repeat.
/// </summary>
internal sealed class OrchestratorThread(Action<string> onForeign) : SynchronizationContext
{
    public const string Foreign =
        "The orchestrator awaited something that is not of its context. It may await only what its TaskOrchestrationContext returns: no other tasks, no delays, no I/O, no ConfigureAwait(false) on them.";

    private readonly Queue<(SendOrPostCallback Work, object? State)> _work = new();
    private volatile int _thread;

    public bool IsHere => _thread == Environment.CurrentManagedThreadId;

    /// <summary>Runs a whole step; afterwards nothing more is taken.</summary>
    public void Run(Action step)
    {
        var before = Current;
        _thread = Environment.CurrentManagedThreadId;
        SetSynchronizationContext(this);
        try
        {
            step();
        }
        finally
        {
            SetSynchronizationContext(before);
            _thread = 0;
        }
    }

    /// <summary>Runs what has been posted, until the code waits for something to come.</summary>
    public void Drain()
    {
        while (_work.TryDequeue(out var next)) next.Work(next.State);
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (IsHere) _work.Enqueue((d, state));
        else onForeign(Foreign);
    }

    public override void Send(SendOrPostCallback d, object? state)
    {
        if (!IsHere) throw new InvalidOperationException(Foreign);
        d(state);
    }

    public void Check()
    {
        if (IsHere) return;
        onForeign(Foreign);
        throw new InvalidOperationException(Foreign);
    }
}
