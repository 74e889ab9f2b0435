using Microsoft.Extensions.Hosting;

namespace Harbour.Access;

/// <summary>
/// Writes the request log beside the requests. It waits a moment after the first call, so that a busy worker writes a hundred in
/// one transaction, and at a graceful stop it writes what is left.
/// </summary>
public sealed class RequestLogWriter(RequestLog requests, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(200);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await requests.WaitAsync(stoppingToken);
                await Task.Delay(Gathering, time, stoppingToken);
                await requests.WritePendingAsync();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            await requests.WritePendingAsync();
        }
    }
}
