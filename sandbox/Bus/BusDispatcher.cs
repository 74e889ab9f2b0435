using System.Collections.Concurrent;
using Azure;
using Azure.Messaging.ServiceBus;
using Harbour.Sandbox.Runtime;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox.Bus;

/// <summary>
/// Delivers messages to the functions that they start, so many at once per queue as host.json says, and enqueues scheduled ones when
/// they are due. A run goes on until the queues are empty and nothing is under way, and takes up what comes meanwhile: so a slow
/// function delays no other message, and the clock moves on only when all is delivered.
/// <para>
/// What is there is known from memory: whoever sends in this process says so, and another host rings the bell, which is heard four
/// times a second and before each stop of an advance. All queues are looked at every five seconds besides, for a host that died
/// between its sending and its ringing.
/// </para>
/// </summary>
internal sealed class BusDispatcher : DueSource, IAsyncDisposable
{
    private const int LooksPerFullLook = 20;

    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(250);

    private readonly BusStorage _storage;
    private readonly ScheduledMessages _scheduled;
    private readonly KnownMessages _known;
    private readonly DeadLetters _deadLetters;
    private readonly FunctionRunner _runner;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly List<Lane> _lanes = [];
    private readonly ConcurrentDictionary<string, Delivery> _underWay = new(StringComparer.Ordinal);
    private readonly SortedSet<Scheduled> _held = [];
    private readonly SemaphoreSlim _wake = new(0);
    private readonly SemaphoreSlim _looking = new(1);
    private readonly CancellationTokenSource _stopping = new();
    private Task _looks = Task.CompletedTask;
    private ETag _heard;
    private long _version;
    private volatile bool _mayBeLocked = true;

    public BusDispatcher(BusStorage storage, FunctionCatalogue catalogue, FunctionRunner runner, TimeProvider clock, ILogger<BusDispatcher> logger)
    {
        (_storage, _runner, _clock, _logger) = (storage, runner, clock, logger);
        (_scheduled, _known, _deadLetters) = (new(storage), new(storage, clock), new(storage));
        var slots = HostJson.MaxConcurrentCalls(HostJson.OfThisHost);
        foreach (var (function, trigger) in catalogue.StartedBy<ServiceBusTriggerAttribute>())
        {
            if (trigger.QueueName is not { } queue) throw Unsupported(function, "a topic");
            if (trigger.IsBatched) throw Unsupported(function, "batches");
            if (trigger.IsSessionsEnabled) throw Unsupported(function, "sessions");
            if (_lanes.Any(l => l.Name == queue)) throw new InvalidOperationException($"Two functions are started by the queue {queue}; each message would reach only one of them.");
            _lanes.Add(new Lane(queue, function, trigger.AutoCompleteMessages, slots));
        }
    }

    public override string Name => "bus";

    /// <summary>Looks at what an earlier host left, then goes on listening for the bell.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var lane in _lanes) lane.Queue = await _storage.QueueAsync(lane.Name);
        _heard = await _storage.HeardAsync(cancellation);
        await LookAroundAsync(cancellation);
        _looks = LookForeverAsync(_stopping.Token);
    }

    /// <summary>Stops listening. The timeline has ended by then, and with it all runs.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _looks;
    }

    /// <summary>To be called after something was put into that queue, or is held for it.</summary>
    public void Arrived(string queue, IReadOnlyCollection<Scheduled> scheduled)
    {
        lock (_held) _held.UnionWith(scheduled);
        if (_lanes.Find(l => l.Name == queue) is { } lane) lane.MayHold = true;
        Signal();
    }

    /// <summary>A past moment while there are messages, each time a later one, so that new work is never taken for work that got nowhere.</summary>
    public override ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation)
    {
        if (!_underWay.IsEmpty || _mayBeLocked || _lanes.Any(l => l.MayHold)) return new(DateTimeOffset.UnixEpoch.AddTicks(Interlocked.Read(ref _version)));
        lock (_held) return new(_held.Count > 0 ? _held.Min.Due : null);
    }

    public override async Task LookForNewsAsync(CancellationToken cancellation)
    {
        await _looking.WaitAsync(cancellation);
        try
        {
            var rung = await _storage.HeardAsync(cancellation);
            if (rung == _heard) return;
            await LookAroundAsync(cancellation);
            _heard = rung;
        }
        finally
        {
            _looking.Release();
        }
    }

    public override async Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                await EnqueueDueAsync(cancellation);
                var started = 0;
                foreach (var lane in _lanes) started += await StartAsync(lane, cancellation);
                if (started > 0) continue;
                if (_underWay.IsEmpty && !_lanes.Any(l => l.MayHold) && !await IsAnyLockedAsync(cancellation)) break;
                await _wake.WaitAsync(LookInterval, cancellation);
            }

            foreach (var lane in _lanes) await lane.ForgetAsync(_known, _clock.GetUtcNow(), cancellation);
        }
        finally
        {
            // Also when the host stops: each of those is told, and then ends and gives its message back.
            while (!_underWay.IsEmpty) await _wake.WaitAsync(LookInterval, CancellationToken.None);
        }
    }

    private async Task EnqueueDueAsync(CancellationToken cancellation)
    {
        while (NextHeld() is { } next && next.Due <= _clock.GetUtcNow())
        {
            await _scheduled.ReleaseAsync(next, cancellation);
            lock (_held) _held.Remove(next);
            if (_lanes.Find(l => l.Name == next.Queue) is { } lane) lane.MayHold = true;
        }
    }

    private Scheduled? NextHeld()
    {
        lock (_held) return _held.Count > 0 ? _held.Min : null;
    }

    /// <summary>Receives what the queue holds, as far as there are free slots, and starts a delivery of each; answers how many.</summary>
    private async Task<int> StartAsync(Lane lane, CancellationToken cancellation)
    {
        var free = lane.Free;
        if (!lane.MayHold || free == 0) return 0;
        // Before the queue is read: what comes afterwards says so anew.
        lane.MayHold = false;
        List<Received> messages;
        try
        {
            messages = await lane.Queue.ReceiveAsync(free, cancellation);
        }
        catch
        {
            lane.MayHold = _mayBeLocked = true;
            throw;
        }

        var most = Math.Min(free, 32);
        if (messages.Count == most) lane.MayHold = true;
        var started = 0;
        foreach (var message in messages)
        {
            var delivery = new Delivery(lane.Queue, _deadLetters, message, _clock);
            if (!_underWay.TryAdd(message.Id, delivery))
            {
                delivery.Dispose();
                _underWay.GetValueOrDefault(message.Id)?.TakeOver(message.Receipt);
                continue;
            }

            lane.Take();
            started++;
            // On a thread of its own: a function that blocks before its first await must not hold up the next message.
            _ = Task.Run(() => DeliverAsync(lane, message.Id, delivery, cancellation), CancellationToken.None);
        }

        return started;
    }

    private async Task DeliverAsync(Lane lane, string id, Delivery delivery, CancellationToken cancellation)
    {
        try
        {
            var failed = !delivery.IsBeyondLast && !await CallAsync(lane, delivery, cancellation);
            if (delivery.IsSettled) return;
            if (!failed && !delivery.IsBeyondLast && lane.AutoComplete) await delivery.CompleteMessageAsync(delivery.Message, CancellationToken.None);
            else await delivery.AbandonMessageAsync(delivery.Message, cancellationToken: CancellationToken.None);
        }
        catch (Exception e)
        {
            _logger.LogError(e, "A message of {Queue} could not be settled; it comes again when its lock has lapsed", lane.Name);
            _mayBeLocked = true;
        }
        finally
        {
            if (delivery.IsAbandoned) lane.MayHold = true;
            lane.Give();
            _underWay.TryRemove(id, out _);
            delivery.Dispose();
            Signal();
        }
    }

    /// <summary>False when the function failed.</summary>
    private async Task<bool> CallAsync(Lane lane, Delivery delivery, CancellationToken cancellation)
    {
        using var returned = new CancellationTokenSource();
        var keeping = delivery.KeepLockedAsync(returned.Token);
        try
        {
            await _runner.RunAsync(lane.Function, delivery, cancellation);
            return true;
        }
        catch (Exception e)
        {
            _logger.LogError(e, "Function {Function} failed at the message {Message} (delivery {Count})", lane.Function.Name, delivery.Message.MessageId, delivery.Message.DeliveryCount);
            return false;
        }
        finally
        {
            await returned.CancelAsync();
            await keeping;
        }
    }

    /// <summary>Whether a queue holds messages that are locked by nobody who lives: then they are waited for.</summary>
    private async Task<bool> IsAnyLockedAsync(CancellationToken cancellation)
    {
        if (!_mayBeLocked) return false;
        var locked = false;
        foreach (var lane in _lanes)
        {
            if (await lane.Queue.IsEmptyAsync(cancellation)) continue;
            locked = lane.MayHold = true;
        }

        return _mayBeLocked = locked;
    }

    private async Task LookForeverAsync(CancellationToken stopping)
    {
        for (var looks = 1; !stopping.IsCancellationRequested; looks++)
        {
            try
            {
                await Task.Delay(LookInterval, TimeProvider.System, stopping);
                if (looks % LooksPerFullLook == 0) await LookAroundAsync(stopping);
                else await LookForNewsAsync(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
            }
            catch (Exception e)
            {
                _logger.LogDebug(e, "The bus could not look for messages; it looks again");
            }
        }
    }

    private async Task LookAroundAsync(CancellationToken cancellation)
    {
        var held = await _scheduled.ReadAllAsync(cancellation);
        lock (_held) _held.UnionWith(held);
        foreach (var lane in _lanes) lane.MayHold = true;
        if (_lanes.Count > 0 || held.Count > 0) Signal();
    }

    private void Signal()
    {
        Interlocked.Increment(ref _version);
        lock (_wake)
        {
            if (_wake.CurrentCount == 0) _wake.Release();
        }

        NotifyChanged();
    }

    private static InvalidOperationException Unsupported(Function function, string what) =>
        new($"Function {function.Name} is started by {what} of Service Bus; the sandbox has queues only, one message at a time.");

    /// <summary>A queue, the function that it starts, and the slots for it.</summary>
    private sealed class Lane(string name, Function function, bool autoComplete, int slots)
    {
        private int _free = slots;
        private DateTimeOffset _forgotten;
        private volatile bool _mayHold;
        private volatile bool _busySince;

        public string Name { get; } = name;

        public Function Function { get; } = function;

        public bool AutoComplete { get; } = autoComplete;

        public BusQueue Queue { get; set; } = null!;

        public int Free => Volatile.Read(ref _free);

        /// <summary>Whether there may be messages that are ready.</summary>
        public bool MayHold { get => _mayHold; set => _mayHold = value; }

        public void Take()
        {
            Interlocked.Decrement(ref _free);
            _busySince = true;
        }

        public void Give() => Interlocked.Increment(ref _free);

        /// <summary>Drops ids that are too old, once in their time and only where messages came.</summary>
        public async Task ForgetAsync(KnownMessages known, DateTimeOffset now, CancellationToken cancellation)
        {
            if (!_busySince || now - _forgotten < KnownMessages.Window) return;
            (_busySince, _forgotten) = (false, now);
            await known.ForgetAsync(Name, cancellation);
        }
    }
}
