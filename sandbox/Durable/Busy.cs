namespace Harbour.Sandbox.Durable;

/// <summary>Counts what is under way, and tells when nothing is.</summary>
internal sealed class Busy(TimeProvider clock)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _idle = Done();
    private DateTimeOffset _since;
    private int _count;

    /// <summary>When the present spell of work began; null while there is none. No two spells have the same moment.</summary>
    public DateTimeOffset? Since
    {
        get
        {
            lock (_lock) return _count == 0 ? null : _since;
        }
    }

    public Task IdleAsync()
    {
        lock (_lock) return _idle.Task;
    }

    public void Begin()
    {
        lock (_lock)
        {
            if (_count++ > 0) return;
            var now = clock.GetUtcNow();
            _since = now == _since ? now.AddTicks(-1) : now;
            _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    public void End()
    {
        lock (_lock)
        {
            if (--_count == 0) _idle.SetResult();
        }
    }

    private static TaskCompletionSource Done()
    {
        var done = new TaskCompletionSource();
        done.SetResult();
        return done;
    }
}
