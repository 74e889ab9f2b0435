using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace Harbour.Foundation;

/// <summary>A page of a list, newest first.</summary>
/// <param name="NextCursor">What to send as <c>cursor</c> for the next page; null on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Data, string? NextCursor);

/// <summary>
/// An answer whose bytes are made already, so that nothing can fail once it is being written, and so that it can be kept for
/// the next call with the same idempotency key.
/// </summary>
public sealed class Answer : IResult
{
    private const string JsonType = "application/json; charset=utf-8";
    private const string ProblemType = "application/problem+json; charset=utf-8";

    private Answer(int status, byte[] body, string contentType)
    {
        Status = status;
        Body = body;
        ContentType = contentType;
    }

    public int Status { get; }
    public byte[] Body { get; }
    public string ContentType { get; }
    public Dictionary<string, string> Headers { get; } = [];

    /// <summary>The code of the refusal; null where it is none.</summary>
    public string? Code { get; private init; }

    /// <summary>True when it was kept from an earlier call with the same key.</summary>
    public bool Replayed { get; private init; }

    public static Answer Ok<T>(T value) => Of(200, value);
    public static Answer Of<T>(int status, T value) => new(status, Json.Bytes(value), JsonType);
    public static Answer Empty(int status) => new(status, [], JsonType);

    public static Answer List<T>(Page<T> page, int status = 200) =>
        Of(status, new { Object = "list", page.Data, HasMore = page.NextCursor is not null, page.NextCursor });

    /// <summary>An answer that was kept: its status says which of the two types it has.</summary>
    public static Answer Kept(int status, string body)
    {
        var answer = new Answer(status, System.Text.Encoding.UTF8.GetBytes(body), status < 400 ? JsonType : ProblemType)
        {
            Code = status < 400 ? null : JsonNode.Parse(body)?["code"]?.GetValue<string>(),
            Replayed = true,
        };
        answer.Headers["Idempotent-Replayed"] = "true";
        return answer;
    }

    /// <summary>The one shape of every refusal: RFC 9457, in the caller's language.</summary>
    public static Answer Problem(Error error, string requestId, Language language)
    {
        var body = new Dictionary<string, object?>
        {
            ["type"] = $"https://docs.harbour.example/errors/{error.Code}",
            ["title"] = error.Title.In(language),
            ["status"] = error.Status,
            ["code"] = error.Code,
            ["detail"] = error.Detail(language),
        };
        if (error.Param is not null) body["param"] = error.Param;
        if (error.Status == 422)
            body["errors"] = (error.Inner.IsEmpty ? [error] : error.Inner).Select(e => new { e.Param, e.Code, Detail = e.Detail(language) });
        if (error.DeclineCode is not null) body["decline_code"] = error.DeclineCode;
        if (error.Object is { } about) body[about.Kind] = about.Id;
        body["request_id"] = requestId;
        body["retryable"] = error.Retryable;

        var answer = new Answer(error.Status, Json.Bytes(body), ProblemType) { Code = error.Code };
        if (error.RetryAfter is { } wait)
            answer.Headers["Retry-After"] = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        if (Challenge(error) is { } challenge) answer.Headers["WWW-Authenticate"] = challenge;
        return answer;
    }

    /// <summary>What RFC 6750, section 3, has an answer say about the credential.</summary>
    private static string? Challenge(Error error) => error.Code switch
    {
        "authentication_required" => "Bearer realm=\"harbour\"",
        "insufficient_scope" => "Bearer realm=\"harbour\", error=\"insufficient_scope\"",
        _ => error.Status == 401 ? "Bearer realm=\"harbour\", error=\"invalid_token\"" : null,
    };

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = Status;
        foreach (var (name, value) in Headers) response.Headers[name] = value;
        response.Headers.CacheControl = "no-store";
        if (Body.Length == 0) return;
        response.ContentType = ContentType;
        response.ContentLength = Body.Length;
        if (!HttpMethods.IsHead(httpContext.Request.Method)) await response.Body.WriteAsync(Body, CancellationToken.None);
    }
}
