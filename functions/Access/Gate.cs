using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using Azure;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Middleware;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Harbour.Access;

/// <summary>
/// The one way in. Every HTTP request passes these checks in this order, and the first that refuses answers:
/// <list type="number">
/// <item>request id: taken or made; it is on every answer from here on, and refuses nothing</item>
/// <item>declared size of the body: 413 <c>body_too_large</c></item>
/// <item>credential: 401 <c>authentication_required</c>, <c>invalid_credential</c>, <c>expired_token</c> (429 for an address that keeps
/// guessing keys, 503 <c>storage_unavailable</c> when an unknown key cannot be looked up)</item>
/// <item>mode and merchant, as the credential says: 403 <c>merchant_suspended</c></item>
/// <item>networks of the merchant and of the credential: 403 <c>ip_not_allowed</c></item>
/// <item>scope: 403 <c>insufficient_scope</c></item>
/// <item>rate: 429 <c>rate_limited</c></item>
/// <item>media type of a body under <c>/v1</c>: 415 <c>unsupported_media_type</c></item>
/// <item>Idempotency-Key: 400 <c>invalid_header</c>, <c>idempotency_key_required</c></item>
/// <item>the body itself, read within its limit: 413 <c>body_too_large</c>, 400 <c>malformed_request</c></item>
/// </list>
/// Public routes skip 3 to 9. The body is read last, so a stranger cannot make us hold one. Where the client is, the host has
/// established (<c>RemoteIpAddress</c>): no header is read for it here. Warm, none of this reads storage. What a function throws is
/// logged with the request id and answered with <c>internal_error</c>, which says nothing about the inside.
/// </summary>
public sealed class Gate(
    Routes routes, CredentialCache credentials, AccessTokens tokens, SecretReader secrets, RateLimiter limits,
    RequestLog requests, IConfiguration configuration, TimeProvider time, Ids ids, ILogger<Gate> log) : IFunctionsWorkerMiddleware
{
    /// <summary>Lookups of unknown credentials, per second and at once, that one client address may cause.</summary>
    private const int GuessesPerSecond = 50, GuessBurst = 500;

    private static readonly Meter Meter = new("Harbour");
    private static readonly Counter<long> Requests = Meter.CreateCounter<long>("harbour.requests", description: "Requests by route, status class and refusal code");
    private static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("harbour.request.duration", "s", "Time from the Gate to the function's answer");

    public async Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        // Timers and queues have no caller.
        if (context.GetHttpContext() is not { } http)
        {
            await next(context);
            return;
        }

        var (receivedAt, startedAt) = (time.GetUtcNow(), time.GetTimestamp());
        var call = new Call(http.Request, routes.Of(context.FunctionDefinition.Name), RequestIdOf(http.Request));
        http.Response.Headers["X-Request-ID"] = call.RequestId;
        Activity.Current?.SetTag("harbour.request_id", call.RequestId);
        using var scope = log.BeginScope(new Dictionary<string, object> { ["RequestId"] = call.RequestId });
        var trace = RequestTrace.Begin();

        if (await AnswerAsync(context, next, http, call) is { } answer) context.GetInvocationResult().Value = answer;
        var (result, took) = (context.GetInvocationResult().Value, time.GetElapsedTime(startedAt));
        Measure(call, result, took);
        if (call.IsAuthenticated) requests.Add(call, LoggedCall.Of(call, StatusOf(result), result as Answer, receivedAt, took, trace));
    }

    /// <returns>What to answer instead of the function's own result; null to leave that.</returns>
    private async Task<Answer?> AnswerAsync(FunctionContext context, FunctionExecutionDelegate next, HttpContext http, Call call)
    {
        try
        {
            if (await AdmitAsync(http, call) is { } refusal)
            {
                log.LogInformation("Refused with {Code}: {Method} {Route} from {Address}", refusal.Code, http.Request.Method, call.Route.Template, call.ClientAddress);
                return call.Problem(refusal);
            }

            using var scope = call.IsAuthenticated
                ? log.BeginScope(new Dictionary<string, object> { ["Merchant"] = call.Merchant.Id.Value, ["Mode"] = call.Mode })
                : null;
            await next(context);
            return null;
        }
        catch (Exception e) when (http.RequestAborted.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            // The client went away; there is no one to answer, and nothing is wrong. 499 is what proxies write for it.
            return Answer.Empty(499);
        }
        catch (BadHttpRequestException e)
        {
            return call.Problem(e.StatusCode == 413 ? Errors.BodyTooLarge.With(call.Route.MaxBody) : Errors.MalformedRequest);
        }
        catch (Exception e) when (Storage.IsFailure(e))
        {
            log.LogError(e, "Storage did not answer {Function}", call.Route.Name);
            return call.Problem(Errors.StorageUnavailable with { RetryAfter = TimeSpan.FromSeconds(1) });
        }
        catch (Exception e)
        {
            log.LogError(e, "The function {Function} failed", call.Route.Name);
            return call.Problem(Errors.InternalError);
        }
    }

    private async ValueTask<Error?> AdmitAsync(HttpContext http, Call call)
    {
        var (request, route) = (http.Request, call.Route);
        if (request.ContentLength > route.MaxBody) return Errors.BodyTooLarge.With(route.MaxBody);
        if (!route.IsPublic && (await IdentifyAsync(request, call) ?? Allow(http, call) ?? CheckHeaders(request, call)) is { } refusal) return refusal;

        var body = await ReadBodyAsync(request, route.MaxBody);
        if (!body.Ok(out var bytes, out var tooLarge)) return tooLarge;
        call.Body = bytes;
        return null;
    }

    /// <summary>Who is calling. Only one header is looked at, and of what it holds only what looks like one of ours is looked up.</summary>
    private async ValueTask<Error?> IdentifyAsync(HttpRequest request, Call call)
    {
        const string Scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || header.AsSpan(Scheme.Length).Trim().IsEmpty) return Errors.AuthenticationRequired;
        var credential = header[Scheme.Length..].Trim();
        try
        {
            var caller = ApiKey.LooksLikeOne(credential) ? await FindKeyAsync(credential, call) : await FindClientAsync(credential, call);
            if (!caller.Ok(out var known, out var refusal)) return refusal;
            if (!known.Credential.IsValidAt(time.GetUtcNow())) return Errors.InvalidCredential;
            call.Caller = known;
            return null;
        }
        catch (Exception e) when (e is RequestFailedException or AggregateException)
        {
            log.LogError(e, "A credential could not be looked up");
            return Errors.StorageUnavailable;
        }
    }

    private async ValueTask<Result<Caller>> FindKeyAsync(string key, Call call)
    {
        if (!ApiKey.IsPlausible(key, configuration["Access:UncheckedKeyPrefix"])) return Errors.InvalidCredential;
        var proof = ApiKey.ProofOf(key, await secrets.ReadAsync(ApiKey.PepperSecret, call.Aborted));
        var found = await LookUpAsync(Handles.OfKey(proof), call);
        if (!found.Ok(out var caller, out var refusal)) return refusal;
        return caller.Credential.ProvenBy(proof) ? caller : Errors.InvalidCredential;
    }

    private async ValueTask<Result<Caller>> FindClientAsync(string token, Call call)
    {
        var read = await tokens.ReadAsync(token, call.Aborted);
        if (!read.Ok(out var claims, out var invalid)) return invalid;
        var found = await LookUpAsync(Handles.OfClient(claims.ClientId), call);
        if (!found.Ok(out var caller, out var refusal)) return refusal;
        return caller with { Credential = caller.Credential with { Scopes = Scopes.Both(claims.Scopes, caller.Credential.Scopes) } };
    }

    private async ValueTask<Result<Caller>> LookUpAsync(string handle, Call call)
    {
        var guesses = "guess|" + call.ClientAddress;
        if (!credentials.Remembers(handle) && limits.Look(guesses, GuessesPerSecond, GuessBurst) is { Allowed: false } spent)
            return Errors.RateLimited.With(GuessesPerSecond) with { RetryAfter = spent.RetryAfter };
        if (await credentials.FindAsync(handle, call.Aborted) is { } caller) return caller;
        limits.Take(guesses, GuessesPerSecond, GuessBurst);
        return Errors.InvalidCredential;
    }

    /// <summary>What the caller may do, from here, now. The rate is on every answer of a known caller, refusals included.</summary>
    private Error? Allow(HttpContext http, Call call)
    {
        var (merchant, credential, bucket) = (call.Merchant, call.Credential, call.Credential.Id.Value);
        Show(http.Response.Headers, limits.Look(bucket, merchant.RequestsPerSecond, merchant.Burst));
        if (merchant.Status is Merchants.MerchantStatus.Suspended) return Errors.MerchantSuspended;

        var address = Call.AddressOf(http.Request);
        if (!merchant.AllowedFrom.Allows(address) || !credential.AllowedFrom.Allows(address)) return Errors.IpNotAllowed;
        if (!credential.Scopes.Contains(call.Route.Scope!)) return Errors.InsufficientScope.With(call.Route.Scope!);

        var rate = limits.Take(bucket, merchant.RequestsPerSecond, merchant.Burst);
        Show(http.Response.Headers, rate);
        return rate.Allowed ? null : Errors.RateLimited.With(merchant.RequestsPerSecond) with { RetryAfter = rate.RetryAfter };
    }

    private static Error? CheckHeaders(HttpRequest request, Call call)
    {
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsDelete(request.Method)) return null;
        var isOurs = request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase);
        if (isOurs && HasBody(request) && !IsJson(request)) return Errors.UnsupportedMediaType.With("application/json");

        if (!HttpMethods.IsPost(request.Method)) return null;
        if (!request.Headers.TryGetValue("Idempotency-Key", out var values)) return call.Route.NeedsIdempotencyKey ? Errors.IdempotencyKeyRequired : null;
        if (!IsIdempotencyKey(values)) return Errors.InvalidHeader.At("Idempotency-Key", "must be sent once, with 1 to 255 visible ASCII characters");
        call.IdempotencyKey = values.ToString();
        return null;
    }

    internal static bool IsIdempotencyKey(StringValues values) =>
        values is [{ Length: >= 1 and <= 255 } key] && key.All(c => c is >= '\x21' and <= '\x7e');

    /// <summary>JSON is UTF-8 (RFC 8259, section 8.1), and bodies are taken as they are, not compressed.</summary>
    private static bool IsJson(HttpRequest request) =>
        MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
        && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
        && (!type.Charset.HasValue || HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase))
        && request.Headers.ContentEncoding is [] or ["identity"];

    private static bool HasBody(HttpRequest request) =>
        request.HttpContext.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody ?? request.ContentLength > 0;

    /// <summary>Reads what there is, and never holds more than the limit, whatever the request declared.</summary>
    private static async ValueTask<Result<ReadOnlyMemory<byte>>> ReadBodyAsync(HttpRequest request, int limit)
    {
        if (!HasBody(request)) return ReadOnlyMemory<byte>.Empty;
        var cancellation = request.HttpContext.RequestAborted;
        var buffer = new byte[Math.Min(limit, request.ContentLength ?? 4096)];
        var length = 0;
        while (true)
        {
            if (length == buffer.Length && length < limit) Array.Resize(ref buffer, (int)Math.Min(limit, Math.Max(256, length * 2L)));
            if (length == buffer.Length)
                return await request.Body.ReadAsync(new byte[1], cancellation) == 0 ? (ReadOnlyMemory<byte>)buffer : Errors.BodyTooLarge.With(limit);

            var read = await request.Body.ReadAsync(buffer.AsMemory(length), cancellation);
            if (read == 0) return (ReadOnlyMemory<byte>)buffer.AsMemory(0, length);
            length += read;
        }
    }

    private string RequestIdOf(HttpRequest request) =>
        request.Headers["X-Request-ID"] is [{ } sent] && IsRequestId(sent) ? sent : "req_" + ids.NewKey();

    /// <summary>True for what may be a request id, so that it can stand in row keys and log lines as it is.</summary>
    internal static bool IsRequestId(string text) =>
        text is { Length: >= 1 and <= 64 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-') && !CardData.ContainsCardNumber(text);

    /// <summary>Draft-ietf-httpapi-ratelimit-headers-03: the limit is what may come at once, the reset is when all of it may come again.</summary>
    private static void Show(IHeaderDictionary headers, Rate rate)
    {
        headers["RateLimit-Limit"] = rate.Limit.ToString(CultureInfo.InvariantCulture);
        headers["RateLimit-Remaining"] = rate.Remaining.ToString(CultureInfo.InvariantCulture);
        headers["RateLimit-Reset"] = WholeSeconds(rate.Reset);
    }

    /// <summary>Rounded up, because coming too early would be refused again.</summary>
    internal static string WholeSeconds(TimeSpan wait) => ((long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);

    private static int StatusOf(object? result) => (result as Answer)?.Status ?? (result as IStatusCodeHttpResult)?.StatusCode ?? 200;

    private static void Measure(Call call, object? result, TimeSpan took)
    {
        var status = StatusOf(result);
        var tags = new TagList { { "route", call.Route.Template }, { "status", $"{status / 100}xx" }, { "code", (result as Answer)?.Code ?? "none" } };
        Requests.Add(1, tags);
        Duration.Record(took.TotalSeconds, tags);
        Activity.Current?.SetTag("http.response.status_code", status);
    }
}
