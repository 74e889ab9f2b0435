using System.Net.Http.Headers;
using Azure;
using Azure.Core;
using Azure.Data.Tables;
using Harbour.Foundation;

namespace Harbour.Benchmarks;

/// <summary>
/// The least that a charge can cost: the transactions that a real charge was seen to write and the provider call that it made,
/// again and again with fresh keys, through the Azure SDK and an HttpClient with nothing around them. It writes to a partition of
/// its own in the same table, so both sides meet a table of the same size.
/// </summary>
public sealed class Floor : IDisposable
{
    private const int FreshLength = 10;

    private readonly Recording recording;
    private readonly TableClient table;
    private readonly HttpClient provider;
    private readonly Dictionary<string, int> keys;
    private readonly string charge;
    private int made;

    /// <param name="charge">The id of the charge that was recorded; in the provider's form each repetition has its own in its place.</param>
    public Floor(Recording recording, string charge, string storage, Wire wire)
    {
        (this.recording, this.charge) = (recording, charge);
        // As Harbour's own client for commits: nothing is tried twice, and the SDK's logging is off.
        var options = new TableClientOptions { Retry = { MaxRetries = 0 } };
        options.Diagnostics.IsLoggingEnabled = false;
        wire.Configure(options);
        table = new TableClient(storage, Books.Table, options);
        provider = new HttpClient(wire.OnProvider(new SocketsHttpHandler { UseCookies = false, UseProxy = false, AllowAutoRedirect = false }));
        keys = recording.Transactions.SelectMany(t => t.Actions).Select(a => a.Row.RowKey).Distinct(StringComparer.Ordinal).Select((key, i) => (key, i)).ToDictionary(StringComparer.Ordinal);
    }

    /// <summary>The first transaction, the provider call, the second transaction.</summary>
    public async Task RunAsync()
    {
        var number = Interlocked.Increment(ref made);
        var tags = new Dictionary<string, ETag>(StringComparer.Ordinal);
        await SubmitAsync(recording.Transactions[0], number, tags);
        await CallProviderAsync(recording.ProviderCalls[0], number);
        await SubmitAsync(recording.Transactions[1], number, tags);
    }

    public void Dispose() => provider.Dispose();

    private async Task SubmitAsync(RecordedTransaction transaction, int number, Dictionary<string, ETag> tags)
    {
        var actions = new List<TableTransactionAction>(transaction.Actions.Count);
        foreach (var (kind, row, conditional) in transaction.Actions)
        {
            var key = Fresh(row.RowKey, number);
            var fresh = kind is TableTransactionActionType.Delete ? new TableEntity() : new TableEntity(row);
            // As many characters as the partition of a merchant has.
            (fresh.PartitionKey, fresh.RowKey) = ("mch_0000000000000000000000floor~test", key);
            actions.Add(new(kind, fresh, conditional ? tags[key] : kind is TableTransactionActionType.Add ? default : ETag.All));
        }

        var answer = await table.SubmitTransactionAsync(actions);
        for (var i = 0; i < actions.Count; i++)
            if (answer.Value[i].Headers.ETag is { } tag) tags[actions[i].Entity.RowKey] = tag;
    }

    private async Task CallProviderAsync(RecordedCall call, int number)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, call.Address);
        var id = Fresh(charge, number);
        request.Headers.Authorization = call.Authorization;
        request.Headers.Add("Idempotency-Key", id);
        request.Content = new StringContent(call.Form.Replace(charge, id, StringComparison.Ordinal), new MediaTypeHeaderValue("application/x-www-form-urlencoded"));
        using var answer = await provider.SendAsync(request);
        answer.EnsureSuccessStatusCode();
        await answer.Content.ReadAsByteArrayAsync();
    }

    /// <summary>A key of the same length that nobody used: the end tells the repetition and which row of the charge it is.</summary>
    private string Fresh(string key, int number) => $"{key.AsSpan(0, key.Length - FreshLength)}{number:D7}{keys.GetValueOrDefault(key, 999):D3}";
}
