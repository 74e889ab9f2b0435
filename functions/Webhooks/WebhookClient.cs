using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;

namespace Harbour.Webhooks;

/// <summary>Asks for the addresses of a host, for a harness that answers in place of the name service.</summary>
public delegate Task<IPAddress[]> ResolveHost(string host, CancellationToken cancellation);

/// <summary>What is posted to an endpoint.</summary>
public sealed record WebhookRequest(Mode Mode, string Url, Id<Event> Event, string RequestId, string Timestamp, string Signature, byte[] Body);

/// <summary>What came of posting it.</summary>
/// <param name="Error">Null for 2xx in time. It says what went wrong in one word, and nothing about our own network.</param>
public sealed record WebhookResponse(int? StatusCode, string? Error, TimeSpan Took, string? Body)
{
    public const string TimedOut = "timeout";
}

/// <summary>
/// Posts to addresses that strangers chose. The host is resolved here, once per connection; every address that it has is checked, and the
/// connection goes to one of exactly those, so that no second look-up can lead elsewhere. No proxy, no redirect, no cookie is followed.
/// One deadline covers resolving, connecting, sending and reading what is read of the answer.
/// </summary>
public sealed class WebhookClient : IDisposable
{
    /// <summary>More of an answer than this is not read; of what is read, a little is kept.</summary>
    private const int MaxRead = 64 * 1024, Kept = 1024;

    /// <summary>One address that swallows packets must not use up the time of the others.</summary>
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(3);

    private readonly TargetGuard guard;
    private readonly TimeProvider time;
    private readonly ResolveHost resolve;
    private readonly TimeSpan deadline;

    // One per mode: a connection that test mode may have must never be found again by live mode.
    private readonly HttpClient[] clients;

    public WebhookClient(TargetGuard guard, IConfiguration configuration, TimeProvider time, ResolveHost? resolve = null)
    {
        (this.guard, this.time) = (guard, time);
        this.resolve = resolve ?? (static (host, cancellation) => Dns.GetHostAddressesAsync(host, cancellation));
        deadline = TimeSpan.FromSeconds(configuration.GetValue("Webhooks:TimeoutSeconds", 10.0));
        clients = [.. Enum.GetValues<Mode>().Select(Make)];
    }

    public async Task<WebhookResponse> PostAsync(WebhookRequest request)
    {
        var startedAt = time.GetTimestamp();
        try
        {
            using var ending = new CancellationTokenSource(deadline, time);
            using var message = Message(request);
            using var response = await clients[(int)request.Mode].SendAsync(message, HttpCompletionOption.ResponseHeadersRead, ending.Token);
            var body = await ReadAsync(response.Content, ending.Token);
            var status = (int)response.StatusCode;
            return new WebhookResponse(status, response.IsSuccessStatusCode ? null : $"status_{status}", time.GetElapsedTime(startedAt), body);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException or SocketException or InvalidOperationException or UriFormatException)
        {
            return new WebhookResponse(null, Reason(e), time.GetElapsedTime(startedAt), null);
        }
    }

    public void Dispose()
    {
        foreach (var client in clients) client.Dispose();
    }

    private HttpClient Make(Mode mode) => new(new SocketsHttpHandler
    {
        ConnectCallback = (context, cancellation) => ConnectAsync(mode, context.DnsEndPoint, cancellation),
        UseProxy = false,
        AllowAutoRedirect = false,
        UseCookies = false,
        ActivityHeadersPropagator = null,
        MaxResponseHeadersLength = 16,
        MaxResponseDrainSize = 0,
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(20),
    })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private static HttpRequestMessage Message(WebhookRequest request)
    {
        var message = new HttpRequestMessage(HttpMethod.Post, request.Url) { Content = new ByteArrayContent(request.Body) };
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json") { CharSet = "utf-8" };
        message.Headers.TryAddWithoutValidation("User-Agent", "Harbour-Webhooks/1.0");
        message.Headers.TryAddWithoutValidation("X-Request-ID", request.RequestId);
        message.Headers.TryAddWithoutValidation(WebhookSignature.IdHeader, request.Event.Value);
        message.Headers.TryAddWithoutValidation(WebhookSignature.TimestampHeader, request.Timestamp);
        message.Headers.TryAddWithoutValidation(WebhookSignature.SignatureHeader, request.Signature);
        return message;
    }

    private async ValueTask<Stream> ConnectAsync(Mode mode, DnsEndPoint target, CancellationToken cancellation)
    {
        var addresses = IPAddress.TryParse(target.Host, out var literal) ? [literal] : await resolve(target.Host, cancellation);
        if (addresses.Length == 0) throw new SocketException((int)SocketError.HostNotFound);
        if (!addresses.All(address => guard.Allows(mode, address))) throw new AddressRefusedException();

        Exception? last = null;
        foreach (var address in addresses.Select(Plain).OrderBy(address => address.AddressFamily is AddressFamily.InterNetworkV6))
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                if (addresses.Length > 1) patience.CancelAfter(ConnectPatience);
                await socket.ConnectAsync(new IPEndPoint(address, target.Port), patience.Token);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException && !cancellation.IsCancellationRequested)
            {
                socket.Dispose();
                last = e;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }

        throw last!;
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    /// <summary>The beginning of the answer as text that can be stored and shown.</summary>
    private static async Task<string?> ReadAsync(HttpContent content, CancellationToken cancellation)
    {
        await using var stream = await content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[MaxRead];
        var length = await stream.ReadAtLeastAsync(buffer, MaxRead, throwOnEndOfStream: false, cancellation);
        return length == 0 ? null : CardData.Mask(Encoding.UTF8.GetString(buffer, 0, Math.Min(length, Kept)));
    }

    private static string Reason(Exception exception)
    {
        for (var e = exception; e is not null; e = e.InnerException)
        {
            switch (e)
            {
                case AddressRefusedException: return "address_refused";
                case OperationCanceledException: return WebhookResponse.TimedOut;
                case AuthenticationException: return "tls_failed";
                case SocketException { SocketErrorCode: SocketError.ConnectionRefused }: return "connection_refused";
                case SocketException { SocketErrorCode: SocketError.TimedOut }: return WebhookResponse.TimedOut;
                case SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain }: return "host_not_found";
                case SocketException { SocketErrorCode: SocketError.ConnectionReset }: return "connection_closed";
                case HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError }: return "tls_failed";
                case HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse or HttpRequestError.ConfigurationLimitExceeded }: return "invalid_answer";
                case HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded }: return "connection_closed";
            }
        }

        return "connection_failed";
    }

    /// <summary>A host has an address that a webhook must not go to.</summary>
    private sealed class AddressRefusedException() : IOException("The address is not allowed.");
}
