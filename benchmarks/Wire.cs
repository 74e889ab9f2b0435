using System.Diagnostics;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Data.Tables;

namespace Harbour.Benchmarks;

/// <summary>What passed over the wire: how many calls of each kind, and how long they took together.</summary>
public sealed record Traffic(long Reads, long Transactions, long Others, long Provider, long BytesRead, double ReadMs, double TransactionMs, double ProviderMs)
{
    public static Traffic operator -(Traffic a, Traffic b) => new(
        a.Reads - b.Reads, a.Transactions - b.Transactions, a.Others - b.Others, a.Provider - b.Provider, a.BytesRead - b.BytesRead,
        a.ReadMs - b.ReadMs, a.TransactionMs - b.TransactionMs, a.ProviderMs - b.ProviderMs);

    public static Traffic operator +(Traffic a, Traffic b) => new(
        a.Reads + b.Reads, a.Transactions + b.Transactions, a.Others + b.Others, a.Provider + b.Provider, a.BytesRead + b.BytesRead,
        a.ReadMs + b.ReadMs, a.TransactionMs + b.TransactionMs, a.ProviderMs + b.ProviderMs);
}

/// <summary>
/// Watches one side's calls to storage and to the provider: counts and times them and, while <see cref="Recording"/> is set, keeps
/// the transactions and the provider calls as they were sent. Both sides carry one, so it costs both the same.
/// </summary>
public sealed class Wire : HttpPipelinePolicy
{
    private long reads, transactions, others, provider, bytesRead, readTicks, transactionTicks, providerTicks;

    public Recording? Recording { get; set; }

    public Traffic Traffic => new(reads, transactions, others, provider, bytesRead, Ms(readTicks), Ms(transactionTicks), Ms(providerTicks));

    public void Configure(TableClientOptions options) => options.AddPolicy(this, HttpPipelinePosition.PerRetry);

    public DelegatingHandler OnProvider(HttpMessageHandler inner) => new ProviderWire(this) { InnerHandler = inner };

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var isTransaction = message.Request.Uri.Path.EndsWith("$batch", StringComparison.Ordinal);
        if (isTransaction && Recording is { } recording) recording.Transactions.Add(await RecordedTransaction.ReadAsync(message.Request.Content!));

        var started = Stopwatch.GetTimestamp();
        await ProcessNextAsync(message, pipeline);
        var took = Stopwatch.GetTimestamp() - started;
        if (isTransaction) Count(ref transactions, ref transactionTicks, took);
        else if (message.Request.Method != RequestMethod.Get) Interlocked.Increment(ref others);
        else
        {
            Count(ref reads, ref readTicks, took);
            Interlocked.Add(ref bytesRead, message.Response.ContentStream is { CanSeek: true } content ? content.Length : 0);
        }
    }

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException("Storage is used asynchronously.");

    private static void Count(ref long calls, ref long ticks, long took)
    {
        Interlocked.Increment(ref calls);
        Interlocked.Add(ref ticks, took);
    }

    private static double Ms(long ticks) => ticks * 1000d / Stopwatch.Frequency;

    private sealed class ProviderWire(Wire wire) : DelegatingHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (wire.Recording is { } recording) recording.ProviderCalls.Add(await RecordedCall.ReadAsync(request, cancellationToken));
            var started = Stopwatch.GetTimestamp();
            var answer = await base.SendAsync(request, cancellationToken);
            Count(ref wire.provider, ref wire.providerTicks, Stopwatch.GetTimestamp() - started);
            return answer;
        }
    }
}
