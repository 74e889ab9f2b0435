namespace Harbour.Sandbox.Durable;

/// <summary>A moment at which an instance is to go on: a timer of its, or its start where the call is -1.</summary>
internal readonly record struct Alarm(string InstanceId, string Execution, int Call, DateTime FireAt);

/// <summary>All alarms, the earliest first; among those of one moment, in the order in which they were set.</summary>
internal sealed class Timers
{
    private readonly Lock _lock = new();
    private readonly PriorityQueue<Alarm, (DateTime, long)> _alarms = new();
    private long _set;

    public void Set(Alarm alarm)
    {
        lock (_lock) _alarms.Enqueue(alarm, (alarm.FireAt, _set++));
    }

    /// <summary>The earliest moment; alarms at the front that nobody waits for any more are dropped.</summary>
    public DateTime? Next(Func<Alarm, bool> isAwaited)
    {
        lock (_lock)
        {
            while (_alarms.TryPeek(out var alarm, out _))
            {
                if (isAwaited(alarm)) return alarm.FireAt;
                _alarms.Dequeue();
            }

            return null;
        }
    }

    public List<Alarm> TakeUntil(DateTime moment)
    {
        List<Alarm> due = [];
        lock (_lock)
        {
            while (_alarms.TryPeek(out var alarm, out _) && alarm.FireAt <= moment) due.Add(_alarms.Dequeue());
        }

        return due;
    }
}
