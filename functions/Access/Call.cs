using System.Globalization;
using System.Net;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Harbour.Access;

/// <summary>
/// Everything that the <see cref="Gate"/> established about one request: who is calling, for whom, in which mode and language, with
/// what. Functions take it from <see cref="Of"/> and ask the request nothing else.
/// </summary>
public sealed class Call
{
    private readonly HttpRequest request;
    private string? requestHash;

    internal Call(HttpRequest request, Route route, string requestId)
    {
        this.request = request;
        Route = route;
        RequestId = requestId;
        Language = LanguageOf(request.Headers.AcceptLanguage.ToString());
        request.HttpContext.Features.Set(this);
    }

    /// <exception cref="InvalidOperationException">The request did not come through the Gate.</exception>
    public static Call Of(HttpRequest request) =>
        request.HttpContext.Features.Get<Call>() ?? throw new InvalidOperationException("The request did not pass the Gate.");

    public Route Route { get; }

    /// <summary>The caller's <c>X-Request-ID</c>, or ours: in every answer, log line, stored change and call to a provider.</summary>
    public string RequestId { get; }

    public Language Language { get; }

    /// <summary>False on public routes: there <see cref="Credential"/>, <see cref="Merchant"/>, <see cref="Mode"/> and <see cref="Book"/> throw.</summary>
    public bool IsAuthenticated => Caller is not null;

    public Credential Credential => Known.Credential;
    public Merchant Merchant => Known.Merchant;
    public Mode Mode => Known.Credential.Mode;
    public Book Book => new(Known.Merchant.Id.Value, Known.Credential.Mode);

    /// <summary>What the caller may do here: of an access token, what both it and its client may.</summary>
    public IReadOnlyList<string> Scopes => Known.Credential.Scopes;

    /// <summary>The body, within the route's limit. The request's own stream has been read.</summary>
    public ReadOnlyMemory<byte> Body { get; internal set; }

    /// <summary>The Idempotency-Key of a POST: 1 to 255 visible ASCII characters; null when none was sent.</summary>
    public string? IdempotencyKey { get; internal set; }

    /// <summary>The same for the same request sent again: see <see cref="Access.RequestHash"/>.</summary>
    public string RequestHash => requestHash ??= Access.RequestHash.Of(request.Method, Path.TrimEnd('/').ToLowerInvariant(), Body);

    /// <summary>Where the call comes from, as the host established it; empty when it is not known.</summary>
    public string ClientAddress => AddressOf(request)?.ToString() ?? "";

    public string Method => request.Method;
    public string Path => request.Path.Value ?? "";
    public IQueryCollection Query => request.Query;

    /// <summary>Signalled when the client goes away; what has begun to move money must not listen to it.</summary>
    public CancellationToken Aborted => request.HttpContext.RequestAborted;

    /// <summary>A refusal as it is answered to this caller.</summary>
    public Answer Problem(Error error) => Answer.Problem(error, RequestId, Language);

    internal Caller? Caller { get; set; }

    private Caller Known => Caller ?? throw new InvalidOperationException("A public route has no caller.");

    /// <summary>Without its IPv6 mapping, so that one client has one name.</summary>
    internal static IPAddress? AddressOf(HttpRequest request) =>
        request.HttpContext.Connection.RemoteIpAddress is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4() : request.HttpContext.Connection.RemoteIpAddress;

    /// <summary>The language that the caller likes best of ours (RFC 9110, section 12.5.4); English when none is named.</summary>
    internal static Language LanguageOf(string acceptLanguage)
    {
        if (acceptLanguage.Length == 0 || !StringWithQualityHeaderValue.TryParseList([acceptLanguage], out var ranges)) return Language.English;
        foreach (var range in ranges.Where(r => r.Quality is null or > 0).OrderByDescending(r => r.Quality ?? 1))
        {
            var tag = range.Value.ToString().ToLower(CultureInfo.InvariantCulture);
            if (tag is "zh" or "zh-hk" or "zh-tw" or "zh-mo" || tag.StartsWith("zh-hant", StringComparison.Ordinal)) return Language.TraditionalChinese;
            if (tag is "en" or "*" || tag.StartsWith("en-", StringComparison.Ordinal)) return Language.English;
        }

        return Language.English;
    }
}
