using DurableTask.Core.History;

namespace Harbour.Sandbox.Durable;

/// <summary>External events and those who wait for them, by name whatever its case.</summary>
internal sealed class EventWaits
{
    private readonly Dictionary<string, Stack<Wait>> _waits = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<EventRaisedEvent> _unclaimed = [];

    /// <summary>The events that came and that nobody has waited for.</summary>
    public IReadOnlyList<EventRaisedEvent> Unclaimed => _unclaimed;

    /// <summary>Whether no event that could come would move the code on.</summary>
    public bool IsNoneLeft => _waits.Values.SelectMany(w => w).All(w => w.Task.IsCompleted);

    /// <exception cref="ArgumentException">Another wait for that event expects another type.</exception>
    public Task<T> Begin<T>(string name, Func<string?, T> read, CancellationToken cancellation)
    {
        if (!_waits.TryGetValue(name, out var waits)) _waits.Add(name, waits = new());
        if (waits.TryPeek(out var last) && last is not Wait<T>) throw new ArgumentException($"Events with the same name must have the same type argument: '{name}'.");
        var wait = new Wait<T>(read);
        if (_unclaimed.FindIndex(e => name.Equals(e.Name, StringComparison.OrdinalIgnoreCase)) is >= 0 and var at)
        {
            var early = _unclaimed[at];
            _unclaimed.RemoveAt(at);
            wait.End(early.Input);
            return wait.Source.Task;
        }

        waits.Push(wait);
        cancellation.Register(() => wait.Source.TrySetCanceled(cancellation));
        return wait.Source.Task;
    }

    /// <summary>Gives the event to the wait that was begun last; if that one has been cancelled, the event is lost with it.</summary>
    public void Raise(EventRaisedEvent raised)
    {
        if (_waits.TryGetValue(raised.Name, out var waits) && waits.TryPop(out var wait)) wait.End(raised.Input);
        else _unclaimed.Add(raised);
    }

    private abstract class Wait
    {
        public abstract Task Task { get; }

        public abstract void End(string? json);
    }

    private sealed class Wait<T>(Func<string?, T> read) : Wait
    {
        public TaskCompletionSource<T> Source { get; } = new();

        public override Task Task => Source.Task;

        public override void End(string? json)
        {
            try
            {
                Source.TrySetResult(read(json));
            }
            catch (Exception e)
            {
                Source.TrySetException(e);
            }
        }
    }
}
