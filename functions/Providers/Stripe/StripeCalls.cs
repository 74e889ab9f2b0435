using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;
using Stripe;

namespace Harbour.Providers.Stripe;

/// <summary>Reads the secret key of a mode as it is now, so that a rotated key is followed without a restart.</summary>
public delegate ValueTask<string> StripeKey(Mode mode, CancellationToken cancellation);

/// <summary>Wraps the connection to Stripe, for a harness that watches or disturbs what passes over it.</summary>
public delegate HttpMessageHandler StripeWire(HttpMessageHandler inner);

/// <param name="Key">Our id, sent as the idempotency key; null for a question, which may always be repeated.</param>
internal sealed record StripeCall(StripeOperation Operation, Mode Mode, string RequestId, string? Key);

/// <summary>
/// How a call to Stripe is made, whatever it asks. One deadline covers the whole call, retries included, on the monotonic clock.
/// An attempt is repeated only where Stripe did not begin or our idempotency key makes it one with the first, and once an attempt's
/// fate is unknown nothing but an explicit answer changes that: a later "not now" does not make it "not attempted". The circuit
/// is per mode and per worker, and counts calls, not attempts. Nothing leaves here as an exception.
/// </summary>
internal sealed class StripeCalls : IDisposable
{
    /// <summary>How one attempt ended.</summary>
    /// <param name="Again">It may be tried again.</param>
    /// <param name="Sick">It says that Stripe, or the way there, is not well.</param>
    private readonly record struct Attempt(ProviderOutcome Outcome, bool Again = false, bool Sick = false);

    /// <summary>What is remembered between the attempts of one call.</summary>
    private sealed class Progress
    {
        public string? Uncertain { get; set; }
    }

    private readonly IConfiguration configuration;
    private readonly StripeKey key;
    private readonly StripeWire? wire;
    private readonly ILogger logger;
    private readonly Histogram<double> durations;
    private readonly TimeProvider time;
    private readonly ResiliencePipeline<Attempt>[] pipelines;
    private readonly Lazy<Connection> connection;

    public StripeCalls(IConfiguration configuration, StripeKey key, TimeProvider time, ILogger logger, IMeterFactory meters, StripeWire? wire)
    {
        (this.configuration, this.key, this.time, this.logger, this.wire) = (configuration, key, time, logger, wire);
        durations = meters.Create("Harbour").CreateHistogram<double>(
            "harbour.provider.duration", "s", "How long a call to a payment provider took, retries included.");
        var retry = Retry(TimeSpan.FromMilliseconds(configuration.GetValue("Stripe:RetryDelayMilliseconds", 100)));
        pipelines = [.. Enum.GetValues<Mode>().Select(_ => Circuit(time, retry))];
        connection = new Lazy<Connection>(Connect);
    }

    public async Task<ProviderOutcome> SendAsync(
        StripeCall call, Func<StripeClient, RequestOptions, CancellationToken, Task<ProviderOutcome>> send, CancellationToken cancellation)
    {
        var (at, started) = (time.GetUtcNow(), Stopwatch.GetTimestamp());
        var outcome = await WithinDeadlineAsync(call, send, cancellation);

        var took = Stopwatch.GetElapsedTime(started);
        var (name, reason) = Describe(outcome);
        RequestTrace.Add(new("stripe", OperationName(call.Operation), "primary", name, took.TotalMilliseconds, at));
        durations.Record(took.TotalSeconds,
            new("provider", "stripe"), new("operation", OperationName(call.Operation)), new("outcome", name));
        logger.LogInformation("stripe {Operation} {Outcome} in {Milliseconds} ms {Reason}",
            OperationName(call.Operation), name, (long)took.TotalMilliseconds, reason);
        return outcome;
    }

    public void Dispose()
    {
        if (connection.IsValueCreated) connection.Value.Http.Dispose();
    }

    private async Task<ProviderOutcome> WithinDeadlineAsync(
        StripeCall call, Func<StripeClient, RequestOptions, CancellationToken, Task<ProviderOutcome>> send, CancellationToken cancellation)
    {
        var progress = new Progress();
        try
        {
            using var deadline = new CancellationTokenSource(connection.Value.Timeout, TimeProvider.System);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, deadline.Token);
            var secret = (await key(call.Mode, either.Token)).Trim();
            if (secret.Length == 0) return new ProviderOutcome.NotAttempted("no key");
            var request = new RawRequestOptions { ApiKey = secret, IdempotencyKey = call.Key };
            request.AdditionalHeaders["X-Request-ID"] = call.RequestId;

            var attempt = await pipelines[(int)call.Mode].ExecuteAsync(async token =>
            {
                var attempt = await AttemptAsync(call, send, request, token);
                if (attempt.Outcome is ProviderOutcome.Unknown unknown) progress.Uncertain ??= unknown.Reason;
                return attempt;
            }, either.Token);
            return attempt.Outcome is ProviderOutcome.NotAttempted && progress.Uncertain is { } first
                ? new ProviderOutcome.Unknown(first)
                : attempt.Outcome;
        }
        catch (Exception exception)
        {
            // No attempt was under way here: they end as values. What fails is the key, the circuit, or the wait between two attempts.
            if (progress.Uncertain is { } reason) return new ProviderOutcome.Unknown(reason);
            if (exception is not (BrokenCircuitException or OperationCanceledException))
                logger.LogError(exception, "stripe could not be called");
            return new ProviderOutcome.NotAttempted(exception is BrokenCircuitException ? "circuit open" : $"before it was sent: {exception.GetType().Name}");
        }
    }

    private async Task<Attempt> AttemptAsync(
        StripeCall call, Func<StripeClient, RequestOptions, CancellationToken, Task<ProviderOutcome>> send, RequestOptions request, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested) return new(new ProviderOutcome.NotAttempted("no time left"));
        try
        {
            return new(await send(connection.Value.Client, request, cancellation));
        }
        catch (StripeException exception) when (exception.StripeResponse is { } response)
        {
            var status = (int)response.StatusCode;
            var again = Advice(response) ?? status is 409 or 429 or 502 or 503 or 504;
            return new(StripeMapping.Error(call.Operation, response.StatusCode, exception.StripeError), again, status >= 500);
        }
        catch (HttpRequestException exception) when (NeverLeft(exception))
        {
            return new(new ProviderOutcome.NotAttempted(exception.HttpRequestError.ToString()), Again: true, Sick: true);
        }
        catch (OperationCanceledException exception) when (exception.InnerException is TimeoutException && !cancellation.IsCancellationRequested)
        {
            // Only the connection has a time-out of its own, and it runs before anything is sent. Trying again would cost as long.
            return new(new ProviderOutcome.NotAttempted("no connection in time"), Sick: true);
        }
        catch (OperationCanceledException)
        {
            return new(new ProviderOutcome.Unknown("no answer in time"), Sick: true);
        }
        catch (HttpRequestException exception)
        {
            return new(new ProviderOutcome.Unknown($"connection lost: {exception.HttpRequestError}"), Again: true, Sick: true);
        }
#pragma warning disable CA1031 // Whatever else goes wrong once a request may have left, its fate is unknown.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            logger.LogWarning(exception, "stripe's answer could not be read");
            return new(new ProviderOutcome.Unknown($"no sense in the answer: {exception.GetType().Name}"), Sick: true);
        }
    }

    /// <summary>True where the failure is in reaching Stripe, so that no byte of the request was sent.</summary>
    private static bool NeverLeft(HttpRequestException exception) => exception.HttpRequestError is
        HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError;

    /// <summary>Stripe's own word on whether a retry makes sense; it knows, for example, that a stored 500 will only be told again.</summary>
    private static bool? Advice(StripeResponse response) =>
        response.Headers is { } headers && headers.TryGetValues("Stripe-Should-Retry", out var values) && bool.TryParse(values.First(), out var advice)
            ? advice
            : null;

    private static ResiliencePipeline<Attempt> Retry(TimeSpan delay) =>
        new ResiliencePipelineBuilder<Attempt> { TimeProvider = TimeProvider.System }
            .AddRetry(new RetryStrategyOptions<Attempt>
            {
                ShouldHandle = static args => ValueTask.FromResult(args.Outcome.Result.Again),
                MaxRetryAttempts = 2,
                Delay = delay,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
            })
            .Build();

    /// <summary>
    /// Opens when half of at least 20 calls within 30 s failed to get a sensible answer, first for 1 s, then twice as long with every
    /// failed probe, up to 15 s: a provider that is back is noticed soon, one that hangs does not hold workers.
    /// </summary>
    private static ResiliencePipeline<Attempt> Circuit(TimeProvider time, ResiliencePipeline<Attempt> inner) =>
        new ResiliencePipelineBuilder<Attempt> { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<Attempt>
            {
                ShouldHandle = static args => ValueTask.FromResult(args.Outcome.Result.Sick),
                FailureRatio = 0.5,
                MinimumThroughput = 20,
                SamplingDuration = TimeSpan.FromSeconds(30),
                BreakDurationGenerator = static args => ValueTask.FromResult(TimeSpan.FromSeconds(Math.Min(15, 1 << Math.Min(args.HalfOpenAttempts, 4)))),
            })
            .AddPipeline(inner)
            .Build();

    private Connection Connect()
    {
        var sockets = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            ConnectTimeout = TimeSpan.FromSeconds(3),
            EnableMultipleHttp2Connections = true,
            // Connections are renewed so that a changed DNS answer is followed, and dropped before Stripe drops them.
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(45),
        };
        HttpMessageHandler handler = new NewestHttp { InnerHandler = sockets };
        var http = new HttpClient(wire is null ? handler : wire(handler)) { Timeout = Timeout.InfiniteTimeSpan };
        // One client serves both modes: the key goes with each request, so a rotated one is in force at once.
        var client = new StripeClient(new StripeClientOptions
        {
            ApiBase = (configuration["Stripe:BaseUrl"] ?? StripeClient.DefaultApiBase).TrimEnd('/'),
            HttpClient = new SystemNetHttpClient(http, maxNetworkRetries: 0, enableTelemetry: false),
        });
        return new Connection(http, client, TimeSpan.FromSeconds(configuration.GetValue("Stripe:TimeoutSeconds", 10d)));
    }

    private static string OperationName(StripeOperation operation) => operation switch
    {
        StripeOperation.SetUp => "setup",
        _ => JsonNamingPolicy.SnakeCaseLower.ConvertName(operation.ToString()),
    };

    private static (string Name, string? Reason) Describe(ProviderOutcome outcome) => outcome switch
    {
        ProviderOutcome.Known known => ("known", known.Payment.Status.ToString()),
        ProviderOutcome.KnownRefund known => ("known", known.Refund.Status.ToString()),
        ProviderOutcome.KnownSetup known => ("known", known.Setup.Status.ToString()),
        ProviderOutcome.KnownCustomer or ProviderOutcome.Detached => ("known", null),
        ProviderOutcome.Refused refused => ("refused", string.Create(CultureInfo.InvariantCulture, $"{refused.Code} {refused.DeclineCode}")),
        ProviderOutcome.NotAttempted not => ("not_attempted", not.Reason),
        ProviderOutcome.Unknown unknown => ("unknown", unknown.Reason),
        _ => ("absent", null),
    };

    private sealed record Connection(HttpClient Http, StripeClient Client, TimeSpan Timeout);

    /// <summary>Stripe.net asks for HTTP/1.1; where the server offers more over TLS, it is taken.</summary>
    private sealed class NewestHttp : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            (request.Version, request.VersionPolicy) = (HttpVersion.Version20, HttpVersionPolicy.RequestVersionOrLower);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
