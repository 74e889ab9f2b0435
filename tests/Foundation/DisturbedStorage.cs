using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Data.Tables;

namespace Harbour.Tests.Foundation;

/// <summary>What is done to one request to storage.</summary>
public enum Disturbance { None, DropRequest, DropAnswer }

/// <summary>
/// A policy in the pipeline of the storage client. It counts requests and, where it is told to, loses one before it is sent or
/// loses its answer after it was carried out. It stands inside the SDK's retries, as the network does.
/// </summary>
public sealed class DisturbedStorage : HttpPipelinePolicy
{
    private int transactions;
    private int reads;
    private int others;

    public Func<HttpMessage, Disturbance> Decide { get; set; } = _ => Disturbance.None;

    public int Transactions => transactions;
    public int Reads => reads;
    public int Others => others;

    public static bool IsTransaction(HttpMessage message) => message.Request.Uri.ToString().Contains("$batch", StringComparison.Ordinal);

    public void Configure(TableClientOptions options) => options.AddPolicy(this, HttpPipelinePosition.PerRetry);

    public void Reset() => (transactions, reads, others) = (0, 0, 0);

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        Interlocked.Increment(ref IsTransaction(message) ? ref transactions : ref message.Request.Method == RequestMethod.Get ? ref reads : ref others);
        var disturbance = Decide(message);
        if (disturbance is Disturbance.DropRequest) throw new IOException("The connection was lost before the request was sent.");
        await ProcessNextAsync(message, pipeline);
        if (disturbance is Disturbance.DropAnswer) throw new IOException("The connection was lost before the answer came.");
    }

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException("Storage is used asynchronously.");
}
