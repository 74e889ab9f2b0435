using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Access;

/// <summary>The Gate over HTTP: each refusal, in the documented order, and what it hands to functions.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class GateTests(AccessHost host) : IClassFixture<AccessHost>
{
    private const string Demo = "sk_test_harbour_demo", ReadOnly = "sk_test_harbour_readonly", OnlyFromOffice = "sk_test_harbour_ip", Live = "sk_live_harbour_demo";
    private const int Limit = 256 * 1024;

    [Fact]
    public async Task A_request_that_passes_reaches_its_function_with_all_that_is_known_of_it()
    {
        var seen = await ReadAsync(await SendAsync("POST", "/v1/probes?x=1", Demo, "{\"b\":1, \"a\":2}", ("Idempotency-Key", "order-1"), ("X-Request-ID", "mine.1"), ("Accept-Language", "zh-HK")));
        Assert.Equal("mine.1", (string?)seen["request_id"]);
        Assert.Equal("mch_00000000000000000000000001~test", (string?)seen["partition"]);
        Assert.Equal("mch_00000000000000000000000001", (string?)seen["merchant"]);
        Assert.Equal("test", (string?)seen["mode"]);
        Assert.Equal("order-1", (string?)seen["idempotency_key"]);
        Assert.Equal(RequestHash.Of("POST", "/v1/probes", "{\"a\":2,\"b\":1}"u8.ToArray()), (string?)seen["request_hash"]);
        Assert.Equal("/v1/probes", (string?)seen["path"]);
        Assert.Equal(14, (int)seen["size"]!);
        Assert.Equal("traditional_chinese", (string?)seen["language"]);
        Assert.Equal(Scopes.All, seen["scopes"]!.AsArray().Select(s => (string?)s));
    }

    [Fact]
    public async Task A_live_key_acts_in_the_live_book() =>
        Assert.Equal("mch_00000000000000000000000001~live", (string?)(await ReadAsync(await SendAsync("GET", "/v1/probes/x", Live)))["partition"]);

    [Theory]
    [InlineData("a")]
    [InlineData("A.b_c-9")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public async Task A_good_request_id_is_taken(string id) =>
        Assert.Equal([id], (await SendAsync("GET", "/healthz", null, null, ("X-Request-ID", id))).Headers.GetValues("X-Request-ID"));

    [Theory]
    [InlineData("a b")]
    [InlineData("a/b")]
    [InlineData("")]
    [InlineData("01234567890123456789012345678901234567890123456789012345678901234")]
    public async Task Any_other_is_replaced_by_ours(string id) =>
        Assert.Matches("^req_[0-9a-z]{26}$", (await SendAsync("GET", "/healthz", null, null, ("X-Request-ID", id))).Headers.GetValues("X-Request-ID").Single());

    [Theory]
    [InlineData(null, "authentication_required")]
    [InlineData("", "authentication_required")]
    [InlineData("Bearer", "authentication_required")]
    [InlineData("Bearer ", "authentication_required")]
    [InlineData("Basic c2tfdGVzdF9oYXJib3VyX2RlbW86", "authentication_required")]
    [InlineData(Demo, "authentication_required")]
    [InlineData("Bearer sk_test_junk", "invalid_credential")]
    [InlineData("Bearer sk_test_harbour_nobody", "invalid_credential")]
    [InlineData("Bearer sk_test_harbour_demo2", "invalid_credential")]
    [InlineData("Bearer sk_test_harbour_demo sk_test_harbour_demo", "invalid_credential")]
    [InlineData("Bearer junk", "invalid_credential")]
    [InlineData("Bearer eyJhbGciOiJub25lIn0.e30.", "invalid_credential")]
    public async Task Who_does_not_say_who_it_is_gets_401(string? authorization, string code)
    {
        var answer = await SendAsync("GET", "/v1/probes/x", null, null, authorization is null ? [] : [("Authorization", authorization)]);
        await RefusedAsync(answer, 401, code);
        Assert.Equal("Bearer", answer.Headers.WwwAuthenticate.Single().Scheme);
        Assert.False(answer.Headers.Contains("RateLimit-Limit"));
    }

    [Fact]
    public async Task The_scheme_is_not_case_sensitive() =>
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", null, null, ("Authorization", "bearer " + Demo))).StatusCode);

    [Fact]
    public async Task A_revoked_or_expired_key_is_refused()
    {
        var revoked = await host.MakeKeyAsync(credential: c => c with { RevokedAt = DateTimeOffset.UnixEpoch });
        var expired = await host.MakeKeyAsync(credential: c => c with { ExpiresAt = DateTimeOffset.UnixEpoch });
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", revoked), 401, "invalid_credential");
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", expired), 401, "invalid_credential");
    }

    [Fact]
    public async Task A_suspended_merchant_is_refused() =>
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", await host.MakeKeyAsync(m => m with { Status = MerchantStatus.Suspended })), 403, "merchant_suspended");

    [Fact]
    public async Task A_key_with_an_allow_list_works_from_there_only()
    {
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", OnlyFromOffice), 403, "ip_not_allowed");
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", OnlyFromOffice, null, ("X-Forwarded-For", "203.0.114.1")), 403, "ip_not_allowed");
        var seen = await ReadAsync(await SendAsync("GET", "/v1/probes/x", OnlyFromOffice, null, ("X-Forwarded-For", "203.0.113.7")));
        Assert.Equal("203.0.113.7", (string?)seen["client_address"]);
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", OnlyFromOffice, null, ("X-Forwarded-For", "203.0.113.7, 198.51.100.1")), 403, "ip_not_allowed");
    }

    [Fact]
    public async Task The_list_of_the_merchant_counts_for_all_its_keys()
    {
        var key = await host.MakeKeyAsync(m => m with { AllowedFrom = AllowList.Parse("2001:db8::/32", "127.0.0.0/8", "::1") });
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", key)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", key, null, ("X-Forwarded-For", "2001:db8::7"))).StatusCode);
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", key, null, ("X-Forwarded-For", "203.0.113.7")), 403, "ip_not_allowed");
    }

    [Fact]
    public async Task A_key_without_the_scope_is_refused_and_told_which()
    {
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", ReadOnly)).StatusCode);
        var problem = await RefusedAsync(await SendAsync("POST", "/v1/probes", ReadOnly, "{}"), 403, "insufficient_scope");
        Assert.Contains("charges:write", (string?)problem["detail"]);
    }

    [Fact]
    public async Task Every_answer_to_a_known_caller_tells_the_rate()
    {
        foreach (var answer in new[] { await SendAsync("GET", "/v1/probes/x", Demo), await SendAsync("POST", "/v1/probes", ReadOnly, "{}"), await SendAsync("GET", "/v1/probes/boom", Demo) })
        {
            Assert.Equal("20000", answer.Headers.GetValues("RateLimit-Limit").Single());
            Assert.InRange(int.Parse(answer.Headers.GetValues("RateLimit-Remaining").Single()), 1, 20_000);
            Assert.InRange(int.Parse(answer.Headers.GetValues("RateLimit-Reset").Single()), 0, 1);
        }
    }

    [Fact]
    public async Task Beyond_its_rate_a_credential_waits()
    {
        var key = await host.MakeKeyAsync(m => m with { RequestsPerSecond = 1, Burst = 3 });
        var answers = new List<HttpResponseMessage>();
        do answers.Add(await SendAsync("GET", "/v1/probes/x", key));
        while (answers[^1].IsSuccessStatusCode && answers.Count < 100);
        Assert.True(answers.Count > 3);
        await RefusedAsync(answers[^1], 429, "rate_limited");
        Assert.Equal(TimeSpan.FromSeconds(1), answers[^1].Headers.RetryAfter?.Delta);
        Assert.Equal("0", answers[^1].Headers.GetValues("RateLimit-Remaining").Single());
    }

    [Theory]
    [InlineData("application/json", true)]
    [InlineData("application/json; charset=utf-8", true)]
    [InlineData("APPLICATION/JSON;charset=\"UTF-8\"", true)]
    [InlineData("application/json; charset=utf-16", false)]
    [InlineData("application/merge-patch+json", false)]
    [InlineData("text/json", false)]
    [InlineData("text/plain", false)]
    [InlineData("application/x-www-form-urlencoded", false)]
    [InlineData(null, false)]
    public async Task A_body_is_json(string? type, bool accepted)
    {
        foreach (var (method, path) in new[] { ("POST", "/v1/probes"), ("POST", "/V1/Probes"), ("PUT", "/v1/probes/x") })
        {
            using var request = Request(method, path, Demo, null, ("Idempotency-Key", "k"));
            request.Content = new ByteArrayContent("{}"u8.ToArray());
            if (type is not null) request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
            var answer = await host.Client.SendAsync(request);
            if (accepted) Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            else await RefusedAsync(answer, 415, "unsupported_media_type");
        }
    }

    [Fact]
    public async Task A_compressed_body_is_refused_and_no_body_needs_no_type()
    {
        using var request = Request("POST", "/v1/probes", Demo, "{}", ("Idempotency-Key", "k"));
        request.Content!.Headers.ContentEncoding.Add("gzip");
        await RefusedAsync(await host.Client.SendAsync(request), 415, "unsupported_media_type");
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("POST", "/v1/probes", Demo, null, ("Idempotency-Key", "k"))).StatusCode);
    }

    [Fact]
    public async Task The_idempotency_key_is_demanded_where_money_moves_and_checked_on_every_post()
    {
        await RefusedAsync(await SendAsync("POST", "/v1/probes", Demo, "{}"), 400, "idempotency_key_required");
        await RefusedAsync(await SendAsync("POST", "/v1/probes", Demo, "{}", ("Idempotency-Key", "")), 400, "invalid_header");
        await RefusedAsync(await SendAsync("POST", "/v1/probes", Demo, "{}", ("Idempotency-Key", "a b")), 400, "invalid_header");
        await RefusedAsync(await SendAsync("POST", "/v1/probe_batches", Demo, "{}", ("Idempotency-Key", new string('k', 256))), 400, "invalid_header");
        Assert.Null((string?)(await ReadAsync(await SendAsync("POST", "/v1/probe_batches", Demo, "{}")))["idempotency_key"]);
        Assert.Equal("k", (string?)(await ReadAsync(await SendAsync("POST", "/v1/probe_batches", Demo, "{}", ("Idempotency-Key", "k"))))["idempotency_key"]);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", Demo, null, ("Idempotency-Key", "a b"))).StatusCode);
    }

    [Theory]
    [InlineData("/v1/probes", Limit, false, true)]
    [InlineData("/v1/probes", Limit, true, true)]
    [InlineData("/v1/probes", Limit + 1, false, false)]
    [InlineData("/v1/probes", Limit + 1, true, false)]
    [InlineData("/v1/probe_batches", 8 << 20, true, true)]
    [InlineData("/v1/probe_batches", (8 << 20) + 1, true, false)]
    [InlineData("/probes", 1000, true, true)]
    [InlineData("/probes", 1001, true, false)]
    [InlineData("/probes", 1001, false, false)]
    public async Task A_body_has_at_most_what_its_route_allows(string path, int size, bool chunked, bool accepted)
    {
        using var request = Request("POST", path, Demo, null, ("Idempotency-Key", "k"));
        request.Content = new ByteArrayContent(new byte[size]) { Headers = { ContentType = new("application/json") } };
        request.Headers.TransferEncodingChunked = chunked;
        var answer = await host.Client.SendAsync(request);
        if (accepted) Assert.Equal(size, (int)(await ReadAsync(answer))["size"]!);
        else await RefusedAsync(answer, 413, "body_too_large");
    }

    [Fact]
    public async Task Refusals_come_in_the_documented_order()
    {
        // Each request has every fault but those of the checks before; the first check that it fails answers.
        var suspended = await host.MakeKeyAsync(m => m with { Status = MerchantStatus.Suspended, AllowedFrom = AllowList.Parse("203.0.113.0/24") });
        var elsewhere = await host.MakeKeyAsync(credential: c => c with { AllowedFrom = AllowList.Parse("203.0.113.0/24"), Scopes = ["fx:read"] });
        (string? Key, int Size, string Type, string? Idempotency, string Code)[] steps =
        [
            (null, Limit + 1, "text/plain", "a b", "body_too_large"),
            (null, 2, "text/plain", "a b", "authentication_required"),
            (suspended, 2, "text/plain", "a b", "merchant_suspended"),
            (elsewhere, 2, "text/plain", "a b", "ip_not_allowed"),
            (ReadOnly, 2, "text/plain", "a b", "insufficient_scope"),
            (Demo, 2, "text/plain", "a b", "unsupported_media_type"),
            (Demo, 2, "application/json", "a b", "invalid_header"),
            (Demo, 2, "application/json", null, "idempotency_key_required"),
        ];
        foreach (var step in steps)
        {
            using var request = Request("POST", "/v1/probes", step.Key, null);
            request.Content = new ByteArrayContent(new byte[step.Size]) { Headers = { ContentType = new(step.Type) } };
            if (step.Idempotency is not null) request.Headers.TryAddWithoutValidation("Idempotency-Key", step.Idempotency);
            Assert.Equal(step.Code, (string?)JsonNode.Parse(await (await host.Client.SendAsync(request)).Content.ReadAsStringAsync())!["code"]);
        }
    }

    [Fact]
    public async Task What_a_function_throws_is_answered_without_its_inside()
    {
        var answer = await SendAsync("GET", "/v1/probes/boom", Demo, null, ("X-Request-ID", "find-me"));
        await RefusedAsync(answer, 500, "internal_error");
        Assert.DoesNotContain("inside", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("find-me", answer.Headers.GetValues("X-Request-ID").Single());
    }

    [Fact]
    public async Task A_body_that_breaks_the_rules_of_chunks_is_a_bad_request()
    {
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(IPAddress.Loopback, host.Address.Port);
        await tcp.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /v1/probes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {Demo}\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n"));
        using var reader = new StreamReader(tcp.GetStream());
        Assert.Equal("HTTP/1.1 400 Bad Request", await reader.ReadLineAsync());
        Assert.Contains("malformed_request", await reader.ReadToEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_public_function_needs_no_caller_and_knows_none()
    {
        var seen = await ReadAsync(await SendAsync("POST", "/probes", null, "{}", ("X-Request-ID", "x")));
        Assert.False((bool)seen["is_authenticated"]!);
        Assert.Equal((2, "x"), ((int)seen["size"]!, (string?)seen["request_id"]));
    }

    [Fact]
    public async Task A_warm_request_passes_without_a_read_from_storage()
    {
        var token = await TokenAsync();
        foreach (var credential in new[] { Demo, token, "sk_test_junk" }) await SendAsync("GET", "/v1/probes/x", credential);
        var before = host.Storage.Count;
        for (var i = 0; i < 20; i++)
            foreach (var credential in new[] { Demo, token, "sk_test_junk" }) await SendAsync("GET", "/v1/probes/x", credential);
        Assert.Equal(before, host.Storage.Count);
    }

    [Fact]
    public async Task When_storage_cannot_be_reached_an_unknown_key_may_come_again_and_a_known_one_passes()
    {
        var key = await host.MakeKeyAsync();
        await SendAsync("GET", "/v1/probes/x", Demo);
        host.Storage.Fail = true;
        try
        {
            await RefusedAsync(await SendAsync("GET", "/v1/probes/x", key), 503, "storage_unavailable");
            Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", Demo)).StatusCode);
        }
        finally
        {
            host.Storage.Fail = false;
        }

        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v1/probes/x", key)).StatusCode);
    }

    [Fact]
    public async Task A_token_may_do_only_what_both_it_and_its_client_may()
    {
        var token = await TokenAsync("charges:read fx:read");
        Assert.Equal(["charges:read", "fx:read"], (await ReadAsync(await SendAsync("GET", "/v1/probes/x", token)))["scopes"]!.AsArray().Select(s => (string?)s));
        await RefusedAsync(await SendAsync("POST", "/v1/probes", token, "{}"), 403, "insufficient_scope");

        var stranger = await host.Services.GetRequiredService<AccessTokens>().IssueAsync("nobody", ["charges:read"]);
        await RefusedAsync(await SendAsync("GET", "/v1/probes/x", stranger.Reveal()), 401, "invalid_credential");
    }

    [Theory]
    [InlineData("GET", "/", 404, null)]
    [InlineData("GET", "/v1", 404, null)]
    [InlineData("POST", "/v1/nothing", 404, null)]
    [InlineData("DELETE", "/v2/probes", 404, null)]
    [InlineData("GET", "/v1/probes", 405, "POST")]
    [InlineData("DELETE", "/v1/probes/x", 405, "GET, PUT")]
    [InlineData("PATCH", "/oauth/token", 405, "POST")]
    [InlineData("POST", "/healthz", 405, "GET, HEAD")]
    public async Task Elsewhere_there_is_nothing_or_another_method(string method, string path, int status, string? allow)
    {
        var answer = await SendAsync(method, path, null, null, ("Accept-Language", "zh-HK"));
        var problem = await RefusedAsync(answer, status, status == 404 ? "route_not_found" : "method_not_allowed");
        Assert.Equal(allow, answer.Content.Headers.Allow.Count == 0 ? null : string.Join(", ", answer.Content.Headers.Allow));
        Assert.Matches(@"\p{IsCJKUnifiedIdeographs}", (string?)problem["title"]);
    }

    [Fact]
    public async Task Options_tells_the_methods_and_head_the_headers()
    {
        var options = await SendAsync("OPTIONS", "/v1/probes/x", null);
        Assert.Equal(HttpStatusCode.NoContent, options.StatusCode);
        Assert.Equal(["GET", "PUT"], options.Content.Headers.Allow);
        var head = await SendAsync("HEAD", "/healthz", null);
        Assert.Equal((HttpStatusCode.OK, ""), (head.StatusCode, await head.Content.ReadAsStringAsync()));
        Assert.Equal("ok", (string?)(await ReadAsync(await SendAsync("GET", "/healthz", null)))["status"]);
    }

    private async Task<string> TokenAsync(string scope = "") =>
        (await host.Services.GetRequiredService<AccessTokens>().IssueAsync("harbour-demo", scope.Length == 0 ? Scopes.All : Scopes.Split(scope))).Reveal();

    private Task<HttpResponseMessage> SendAsync(string method, string path, string? credential, string? json = null, params (string Name, string Value)[] headers) =>
        host.Client.SendAsync(Request(method, path, credential, json, headers));

    private static HttpRequestMessage Request(string method, string path, string? credential, string? json, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (credential is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", credential);
        if (json is not null) request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    private static async Task<JsonNode> ReadAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private static async Task<JsonNode> RefusedAsync(HttpResponseMessage answer, int status, string code)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == status, text);
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = JsonNode.Parse(text)!;
        Assert.Equal(code, (string?)problem["code"]);
        Assert.Equal(answer.Headers.GetValues("X-Request-ID").Single(), (string?)problem["request_id"]);
        return problem;
    }
}
