using System.Net;
using Azure.Core;
using Azure.Core.Pipeline;

namespace Harbour.Tests.Simulation;

/// <summary>The process is dead: whatever its code still does reaches nobody.</summary>
public sealed class KilledException() : Exception("The process was killed.");

/// <summary>A piece of work that calls storage and the provider: one try of one step, or the timers of a process.</summary>
internal sealed class Work(string name)
{
    private int calls;

    public string Name => name;

    public int NextCall() => Interlocked.Increment(ref calls) - 1;
}

/// <summary>
/// The way from one process to storage: each request meets the fault that the plan has for it. It stands inside the SDK's
/// retries, as the network does.
/// </summary>
internal sealed class StorageWire(Process process) : HttpPipelinePolicy
{
    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var (work, plan) = (process.CurrentWork, process.Plan);
        var call = work.NextCall();
        var fault = plan.Storage(work.Name, call);
        if (fault is Fault.KillBefore) process.Kill();
        process.ThrowIfDead();
        if (fault is Fault.Delay) await process.WaitAsync(plan.Wait(fault, work.Name, call));
        if (fault is Fault.DropRequest) throw new IOException("The connection was lost before the request was sent.");
        await ProcessNextAsync(message, pipeline);
        if (fault is Fault.KillAfter) process.Kill();
        process.ThrowIfDead();
        if (fault is Fault.DropAnswer) throw new IOException("The connection was lost before the answer came.");
    }

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException("Storage is used asynchronously.");
}

/// <summary>
/// The way from one process to the provider. A request that was sent is carried out whether or not the caller waits for it, even
/// when the process dies meanwhile; <see cref="World.QuietAsync"/> waits for those.
/// </summary>
internal sealed class ProviderWire(Process process, HttpMessageHandler inner) : HttpMessageHandler
{
    /// <summary>A card that never answers holds its connection for so long; all others answer long before.</summary>
    private static readonly TimeSpan Patience = World.ProviderDeadline + TimeSpan.FromMilliseconds(350);

    private readonly HttpMessageInvoker invoker = new(inner);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var (work, plan) = (process.CurrentWork, process.Plan);
        var call = work.NextCall();
        var fault = plan.Provider(work.Name, call);
        if (fault is Fault.KillBefore) process.Kill();
        process.ThrowIfDead();
        switch (fault)
        {
            case Fault.Refuse: throw new HttpRequestException(HttpRequestError.ConnectionError, "The connection was refused.");
            case Fault.DropRequest: throw new HttpRequestException(HttpRequestError.ResponseEnded, "The connection was lost before the request was read.");
            case Fault.Busy: return new HttpResponseMessage(HttpStatusCode.TooManyRequests) { Content = new StringContent("""{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Too many requests."}}"""), RequestMessage = request };
        }

        var wait = fault is Fault.Delay or Fault.Late ? plan.Wait(fault, work.Name, call) : TimeSpan.Zero;
        var landing = process.World.Track(LandAsync(await CopyAsync(request), wait));
        var answer = await Task.WhenAny(landing, process.Death).WaitAsync(cancellationToken) == landing ? await landing : throw new KilledException();
        if (fault is Fault.KillAfter) process.Kill();
        process.ThrowIfDead();
        return fault is Fault.DropAnswer ? throw new HttpRequestException(HttpRequestError.ResponseEnded, "The connection was lost before the answer came.") : answer;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) process.World.DisposeWhenQuiet(invoker);
        base.Dispose(disposing);
    }

    /// <summary>Takes the request to the provider and brings all of the answer, on nobody's time but its own.</summary>
    private async Task<HttpResponseMessage> LandAsync(HttpRequestMessage request, TimeSpan wait)
    {
        if (wait > TimeSpan.Zero) await Task.Delay(wait, TimeProvider.System);
        using var patience = new CancellationTokenSource(Patience);
        var answer = await invoker.SendAsync(request, patience.Token);
        await answer.Content.LoadIntoBufferAsync(patience.Token);
        return answer;
    }

    /// <summary>The caller may dispose its request while it is still on the way.</summary>
    private static async Task<HttpRequestMessage> CopyAsync(HttpRequestMessage request)
    {
        var copy = new HttpRequestMessage(request.Method, request.RequestUri) { Version = request.Version, VersionPolicy = request.VersionPolicy };
        foreach (var header in request.Headers) copy.Headers.TryAddWithoutValidation(header.Key, header.Value);
        if (request.Content is null) return copy;
        copy.Content = new ByteArrayContent(await request.Content.ReadAsByteArrayAsync());
        foreach (var header in request.Content.Headers) copy.Content.Headers.TryAddWithoutValidation(header.Key, header.Value);
        return copy;
    }
}
