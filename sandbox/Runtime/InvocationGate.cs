namespace Harbour.Sandbox.Runtime;

/// <summary>
/// Keeps invocations and jumps of the clock apart: invocations pass freely and together, a jump happens only while none is
/// under way, and those that come meanwhile wait. So no function ever sees time leap between two of its reads of the clock.
/// </summary>
public sealed class InvocationGate
{
    /// <summary>
    /// How long new invocations are held back for the running ones to end. Then they are let through and the jump is tried
    /// again: a running invocation may be waiting for one of those, and would wait for ever.
    /// </summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly List<TaskCompletionSource> _waiting = [];
    private TaskCompletionSource? _empty;
    private int _inside;

    public ValueTask<Pass> EnterAsync(CancellationToken cancellation)
    {
        TaskCompletionSource turn;
        lock (_lock)
        {
            if (_empty is null)
            {
                _inside++;
                return ValueTask.FromResult(new Pass(this));
            }

            turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Add(turn);
        }

        return WaitAsync(turn, cancellation);
    }

    /// <summary>Runs <paramref name="jump"/> while no invocation is under way. One caller at a time.</summary>
    public async Task WhileEmptyAsync(Func<Task> jump, CancellationToken cancellation)
    {
        while (true)
        {
            var empty = Close();
            try
            {
                await empty.WaitAsync(Patience, TimeProvider.System, cancellation);
                await jump();
                return;
            }
            catch (TimeoutException) when (!empty.IsCompleted)
            {
                // Those that wait are let through by the finally, then the next round begins.
            }
            finally
            {
                Open();
            }
        }
    }

    private Task Close()
    {
        lock (_lock)
        {
            _empty = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_inside == 0) _empty.SetResult();
            return _empty.Task;
        }
    }

    /// <summary>Those that waited are counted in here, under the lock, so that a gate that closes again at once does not overtake them.</summary>
    private void Open()
    {
        lock (_lock)
        {
            _empty = null;
            foreach (var turn in _waiting)
            {
                if (turn.TrySetResult()) _inside++;
            }

            _waiting.Clear();
        }
    }

    private async ValueTask<Pass> WaitAsync(TaskCompletionSource turn, CancellationToken cancellation)
    {
        await using (cancellation.Register(() => turn.TrySetCanceled(cancellation)))
        {
            await turn.Task;
        }

        return new Pass(this);
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_inside == 0) _empty?.TrySetResult();
        }
    }

    /// <summary>The right to be inside, given back by disposing it once.</summary>
    public readonly struct Pass(InvocationGate gate) : IDisposable
    {
        public void Dispose() => gate.Leave();
    }
}
