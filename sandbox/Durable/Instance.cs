using DurableTask.Core.History;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// An instance in memory: its history, so that a step reads nothing, and what it is to take in next. The flags of its turn
/// and its inbox are touched under the engine's lock; all else only by its turn, of which there is one at a time.
/// </summary>
internal sealed class Instance(string id)
{
    /// <summary>So many messages go into one step: each is a row to delete, and a transaction takes a hundred.</summary>
    private const int MostMessages = 50;

    private const int MostCharacters = 400_000;

    public string Id { get; } = id;

    /// <summary>Null until it has been loaded, and again when memory and storage may differ.</summary>
    public InstanceRow? Row { get; set; }

    public List<HistoryEvent> History { get; private set; } = [];

    /// <summary>What the history has scheduled and not seen the end of, by the id of the call.</summary>
    public Dictionary<int, HistoryEvent> Outstanding { get; } = [];

    /// <summary>The rows in which the history lies.</summary>
    public List<string> HistoryKeys { get; private set; } = [];

    /// <summary>Rows of executions that are over, to be deleted along with the next steps.</summary>
    public List<string> Garbage { get; private set; } = [];

    public List<Message> Inbox { get; private set; } = [];

    /// <summary>Why the instance has to fail: its code went astray after the end of a step.</summary>
    public string? Astray { get; set; }

    public bool IsQueued { get; set; }

    public bool IsRunning { get; set; }

    /// <summary>Whether there may be rows in the inbox that memory does not know.</summary>
    public bool HasPost { get; set; }

    public bool HasStarted { get; private set; }

    /// <summary>Takes over what is kept. What memory alone holds stays: it follows from the history, and is dropped where it does not.</summary>
    public void Load(Kept kept, Func<Message, bool> isToBeTaken)
    {
        (Row, Garbage) = (kept.Row, kept.Garbage);
        Restart(kept.History, kept.HistoryKeys);
        Inbox = [.. kept.Inbox.Where(isToBeTaken).OrderBy(m => m.Key, StringComparer.Ordinal), .. Inbox.Where(m => m.Key is null)];
    }

    public void Append(IEnumerable<HistoryEvent> events)
    {
        foreach (var happened in events)
        {
            History.Add(happened);
            HasStarted |= happened is ExecutionStartedEvent;
            if (happened is TaskScheduledEvent or TimerCreatedEvent or SubOrchestrationInstanceCreatedEvent) Outstanding[happened.EventId] = happened;
            if (new Message(null, null, happened).Answers is { } answered) Outstanding.Remove(answered);
        }
    }

    /// <summary>Begins anew with what is there of an execution: after a load, or with the events that a new one is given.</summary>
    public void Restart(IReadOnlyList<HistoryEvent> history, IReadOnlyList<string> keys)
    {
        (History, HistoryKeys, HasStarted) = ([], [.. keys], false);
        Outstanding.Clear();
        Append(history);
    }

    public void Add(Message message)
    {
        if (message.Key is null || !Inbox.Exists(m => m.Key == message.Key)) Inbox.Add(message);
    }

    /// <summary>The next messages that mean something, in order, and the keys of the rows that go with them.</summary>
    public (List<Message> Messages, List<string> Consumed) Take()
    {
        List<Message> messages = [];
        List<string> consumed = [];
        HashSet<int> answered = [];
        var (at, characters) = (0, 0);
        for (; at < Inbox.Count && at < MostMessages && characters < MostCharacters; at++)
        {
            var message = Inbox[at];
            if (message.Key is not null) consumed.Add(message.Key);
            if (message.Execution is not null && message.Execution != Row!.Execution) continue;
            if (message.Answers is { } call && (!Outstanding.ContainsKey(call) || !answered.Add(call))) continue;
            messages.Add(message);
            characters += Size(message.Event);
        }

        Inbox.RemoveRange(0, at);
        return (messages, consumed);
    }

    /// <summary>Whether the end of that call is known already, though no step has taken it in.</summary>
    public bool IsAnswered(int call) => Inbox.Exists(m => m.Answers == call && m.Execution == Row!.Execution);

    private static int Size(HistoryEvent e) => e switch
    {
        TaskCompletedEvent done => done.Result?.Length ?? 0,
        SubOrchestrationInstanceCompletedEvent done => done.Result?.Length ?? 0,
        EventRaisedEvent raised => raised.Input?.Length ?? 0,
        _ => 0,
    };
}
