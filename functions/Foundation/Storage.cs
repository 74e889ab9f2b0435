using System.Collections.Concurrent;
using Azure;
using Azure.Core;
using Azure.Data.Tables;
using Azure.Identity;
using Microsoft.Extensions.Configuration;

namespace Harbour.Foundation;

/// <summary>
/// The way to the tables. Reads are retried by the SDK; what goes through <see cref="ForCommitsAsync"/> is tried once by the SDK,
/// because a repeated write would meet its own first try as a conflict, and only <see cref="Commit"/> knows how to tell.
/// A table is made when it is first used.
/// </summary>
/// <remarks>
/// Configuration: <c>Storage:ConnectionString</c>, or <c>Storage:AccountName</c> with the managed identity. Tests add policies to
/// the pipeline through <paramref name="configure"/>.
/// </remarks>
public sealed class Storage(IConfiguration configuration, Action<TableClientOptions>? configure = null)
{
    private readonly Lazy<TableServiceClient> reading = new(() => Connect(configuration, configure, retries: 3));
    private readonly Lazy<TableServiceClient> committing = new(() => Connect(configuration, configure, retries: 0));
    private readonly ConcurrentDictionary<string, Lazy<Task>> made = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(TableServiceClient, string), TableClient> clients = new();

    /// <summary>True for what is thrown when storage does not answer, or not in time, as far as it comes out of the SDK or a commit.</summary>
    public static bool IsFailure(Exception e) =>
        e is StorageException or RequestFailedException or AggregateException { InnerException: RequestFailedException or IOException or HttpRequestException or OperationCanceledException };

    public Task<TableClient> TableAsync(string name) => Made(reading.Value, name);
    public Task<TableClient> ForCommitsAsync(string name) => Made(committing.Value, name);

    private async Task<TableClient> Made(TableServiceClient service, string name)
    {
        if (clients.TryGetValue((service, name), out var client)) return client;
        var making = made.GetOrAdd(name, static (name, storage) => new Lazy<Task>(() => storage.reading.Value.CreateTableIfNotExistsAsync(name)), this);
        try
        {
            await making.Value;
        }
        catch
        {
            made.TryRemove(KeyValuePair.Create(name, making));
            throw;
        }

        return clients.GetOrAdd((service, name), static key => key.Item1.GetTableClient(key.Item2));
    }

    private static TableServiceClient Connect(IConfiguration configuration, Action<TableClientOptions>? configure, int retries)
    {
        var options = new TableClientOptions
        {
            Retry = { MaxRetries = retries, Mode = RetryMode.Exponential, Delay = TimeSpan.FromMilliseconds(100), MaxDelay = TimeSpan.FromSeconds(2), NetworkTimeout = TimeSpan.FromSeconds(10) },
        };
        options.Diagnostics.IsLoggingEnabled = false;
        configure?.Invoke(options);
        if (configuration["Storage:ConnectionString"] is { Length: > 0 } connection) return new TableServiceClient(connection, options);
        var account = configuration["Storage:AccountName"] ?? throw new InvalidOperationException("Set Storage:ConnectionString or Storage:AccountName.");
        return new TableServiceClient(new Uri($"https://{account}.table.core.windows.net"), new DefaultAzureCredential(), options);
    }
}
