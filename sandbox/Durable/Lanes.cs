namespace Harbour.Sandbox.Durable;

/// <summary>Runs so many at once and the others in the order in which they came, so that nobody waits for ever.</summary>
internal sealed class Lanes(int width)
{
    private readonly Lock _lock = new();
    private readonly Queue<Func<Task>> _waiting = new();
    private int _running;

    /// <param name="work">It handles its own exceptions.</param>
    public void Run(Func<Task> work)
    {
        lock (_lock)
        {
            if (_running == width)
            {
                _waiting.Enqueue(work);
                return;
            }

            _running++;
        }

        _ = Task.Run(() => LaneAsync(work));
    }

    private async Task LaneAsync(Func<Task> work)
    {
        for (var next = work; next is not null; next = Next()) await next();
    }

    private Func<Task>? Next()
    {
        lock (_lock)
        {
            if (_waiting.TryDequeue(out var next)) return next;
            _running--;
            return null;
        }
    }
}
