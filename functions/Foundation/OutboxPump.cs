using System.Threading.Channels;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>
/// Sends events as soon as they are committed, beside the request that made them. It promises nothing: what it can't take or can't
/// send is left to the <see cref="OutboxSweeper"/>, so that neither a slow bus nor a full pump ever delays or fails a request.
/// </summary>
/// <remarks>Configuration: <c>Outbox:Pump</c>; <c>false</c> leaves everything to the sweeper.</remarks>
public sealed class OutboxPump(Outbox outbox, IConfiguration configuration, ILogger<OutboxPump> log) : BackgroundService
{
    /// <summary>What a minute of the busiest hour makes; beyond it the bus is in trouble, and memory is no place to wait.</summary>
    private const int Capacity = 10_000;

    private const int BatchSize = 100;

    private readonly bool on = !"false".Equals(configuration["Outbox:Pump"], StringComparison.OrdinalIgnoreCase);
    private readonly Channel<OutboxPointer> channel = Channel.CreateBounded<OutboxPointer>(new BoundedChannelOptions(Capacity) { SingleReader = true });
    private readonly Lock gate = new();
    private TaskCompletionSource? idle;
    private int pending;
    private long offered;

    /// <summary>How many events were ever offered to it.</summary>
    public long Offered => Interlocked.Read(ref offered);

    /// <summary>How many events it has taken and is not done with.</summary>
    public int Pending => Volatile.Read(ref pending);

    /// <summary>Takes events whose commit has succeeded. Never waits and never throws.</summary>
    public void Offer(IReadOnlyCollection<OutboxPointer> pointers)
    {
        if (!on) return;
        foreach (var pointer in pointers)
        {
            Interlocked.Increment(ref offered);
            Count(1);
            if (!channel.Writer.TryWrite(pointer)) Count(-1);
        }
    }

    /// <summary>Ends when it is done with all that it has taken.</summary>
    public Task WhenIdleAsync()
    {
        lock (gate) return pending == 0 ? Task.CompletedTask : (idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    /// <summary>What was taken is still sent, within the time that the host gives.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        channel.Writer.TryComplete();
        if (ExecuteTask is { } running) await Task.WhenAny(running, Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken));
        await base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var batch = new List<OutboxPointer>(BatchSize);
        while (await channel.Reader.WaitToReadAsync(stoppingToken))
        {
            while (batch.Count < BatchSize && channel.Reader.TryRead(out var pointer)) batch.Add(pointer);
            try
            {
                await outbox.SendAsync(batch, "pump", stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                log.LogWarning(e, "{Count} events, the first of request {RequestId}, could not be sent; the sweeper will", batch.Count, batch[0].RequestId);
            }
            finally
            {
                Count(-batch.Count);
                batch.Clear();
            }
        }
    }

    private void Count(int change)
    {
        lock (gate)
        {
            pending += change;
            if (pending > 0 || idle is null) return;
            idle.SetResult();
            idle = null;
        }
    }
}
