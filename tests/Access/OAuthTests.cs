using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Harbour.Access;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Harbour.Tests.Access;

/// <summary>The token endpoint as an OAuth library meets it (RFC 6749, RFC 8414).</summary>
[Collection(nameof(UsesSandbox))]
public sealed class OAuthTests(AccessHost host) : IClassFixture<AccessHost>
{
    private const string Basic = "harbour-demo:harbour-demo-secret", Grant = "grant_type=client_credentials";
    private const string InBody = "&client_id=harbour-demo&client_secret=harbour-demo-secret";

    [Theory]
    [InlineData(Grant, Basic)]
    [InlineData(Grant + "&client_id=harbour-demo", Basic)]
    [InlineData(Grant, "harbour%2Ddemo:harbour%2ddemo-secret")] // both halves are form-encoded
    [InlineData(Grant + InBody, null)]
    public async Task A_client_gets_a_token_by_header_or_by_body(string form, string? basic)
    {
        var answer = await AskAsync(form, basic);
        var body = await BodyAsync(answer, 200);
        Assert.Equal(("Bearer", 3600), ((string?)body["token_type"], (int)body["expires_in"]!));
        Assert.Equal(Scopes.Join(Scopes.All), (string?)body["scope"]);
        Assert.True(answer.Headers.CacheControl?.NoStore);

        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/probes/x");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", (string?)body["access_token"]);
        Assert.Equal(HttpStatusCode.OK, (await host.Client.SendAsync(request)).StatusCode);
    }

    [Fact]
    public async Task A_client_may_ask_for_less()
    {
        var body = await BodyAsync(await AskAsync(Grant + "&scope=fx:read+charges:read+fx:read", Basic), 200);
        Assert.Equal("fx:read charges:read", (string?)body["scope"]);
        Assert.Equal("fx:read charges:read", new JsonWebToken((string?)body["access_token"]).GetPayloadValue<string>("scope"));
    }

    [Theory]
    [InlineData(Grant, "harbour-demo:wrong", 401, "invalid_client")]
    [InlineData(Grant, "nobody:harbour-demo-secret", 401, "invalid_client")]
    [InlineData(Grant, "no/body:x", 401, "invalid_client")]
    [InlineData(Grant, "harbour-demo", 401, "invalid_client")]
    [InlineData(Grant, ":", 401, "invalid_client")]
    [InlineData(Grant, null, 401, "invalid_client")]
    [InlineData(Grant + "&client_id=harbour-demo", null, 401, "invalid_client")]
    [InlineData(Grant + "&client_id=harbour-demo&client_secret=wrong", null, 401, "invalid_client")]
    [InlineData(Grant + InBody, Basic, 400, "invalid_request")]
    [InlineData(Grant + "&client_id=other", Basic, 400, "invalid_request")]
    [InlineData("", Basic, 400, "invalid_request")]
    [InlineData("grant_type=", Basic, 400, "invalid_request")]
    [InlineData(Grant + "&" + Grant, Basic, 400, "invalid_request")]
    [InlineData("grant_type=password", Basic, 400, "unsupported_grant_type")]
    [InlineData(Grant + "&scope=charges:steal", Basic, 400, "invalid_scope")]
    [InlineData(Grant + "&scope=charges:read+CHARGES:WRITE", Basic, 400, "invalid_scope")]
    public async Task A_refusal_has_the_shape_of_the_standard(string form, string? basic, int status, string error)
    {
        var answer = await AskAsync(form, basic);
        var body = await BodyAsync(answer, status);
        Assert.Equal(error, (string?)body["error"]);
        Assert.NotEqual("", (string?)body["error_description"] ?? "");
        Assert.Equal(status == 401, answer.Headers.WwwAuthenticate.Any(h => h.Scheme == "Basic"));
        Assert.True(answer.Headers.CacheControl?.NoStore);
        Assert.True(answer.Headers.Contains("X-Request-ID"));
    }

    [Theory]
    [InlineData("application/json", """{"grant_type":"client_credentials"}""")]
    [InlineData("application/x-www-form-urlencoded; charset=utf-8", "%ff%fe=%zz&&&==")]
    public async Task What_is_no_form_is_an_invalid_request(string type, string text)
    {
        using var content = new StringContent(text);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        Assert.Equal("invalid_request", (string?)(await BodyAsync(await host.Client.PostAsync("/oauth/token", content), 400))["error"]);
    }

    [Fact]
    public async Task An_authorization_header_that_is_not_basic_is_an_invalid_client()
    {
        foreach (var header in new[] { "Basic", "Basic %%%", "Bearer sk_test_harbour_demo", "Basic " + Convert.ToBase64String([0xff, 0xfe]) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/oauth/token") { Content = new FormUrlEncodedContent([new("grant_type", "client_credentials")]) };
            request.Headers.TryAddWithoutValidation("Authorization", header);
            Assert.Equal("invalid_client", (string?)(await BodyAsync(await host.Client.SendAsync(request), 401))["error"]);
        }
    }

    [Fact]
    public async Task Who_fails_too_often_waits_and_others_do_not()
    {
        var statuses = new List<HttpStatusCode>();
        do statuses.Add((await AskAsync(Grant, "harbour-demo:wrong", from: "198.51.100.9")).StatusCode);
        while (statuses[^1] == HttpStatusCode.Unauthorized && statuses.Count < 1000);

        Assert.InRange(statuses.Count, 100, 999);
        var refused = await AskAsync(Grant, Basic, from: "198.51.100.9");
        if (refused.StatusCode == HttpStatusCode.TooManyRequests) Assert.True(refused.Headers.RetryAfter?.Delta > TimeSpan.Zero);
        Assert.Equal(HttpStatusCode.TooManyRequests, statuses[^1]);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(Grant, Basic, from: "198.51.100.10")).StatusCode);
    }

    [Fact]
    public async Task The_published_key_verifies_a_token_and_the_metadata_leads_to_it()
    {
        var metadata = JsonNode.Parse(await host.Client.GetStringAsync("/.well-known/oauth-authorization-server"))!;
        var issuer = host.Address.GetLeftPart(UriPartial.Authority);
        Assert.Equal(issuer, (string?)metadata["issuer"]);
        Assert.Equal(issuer + "/oauth/token", (string?)metadata["token_endpoint"]);
        Assert.Equal(["client_secret_basic", "client_secret_post"], metadata["token_endpoint_auth_methods_supported"]!.AsArray().Select(m => (string?)m));

        var keys = new JsonWebKeySet(await host.Client.GetStringAsync((string?)metadata["jwks_uri"])).GetSigningKeys();
        var token = (string?)(await BodyAsync(await AskAsync(Grant, Basic), 200))["access_token"];
        var result = await new JsonWebTokenHandler().ValidateTokenAsync(token, new TokenValidationParameters { ValidIssuer = issuer, ValidAudience = issuer, IssuerSigningKeys = keys, ValidTypes = ["at+jwt"], ValidateLifetime = false });
        Assert.True(result.IsValid, result.Exception?.Message);
    }

    private Task<HttpResponseMessage> AskAsync(string form, string? basic, string? from = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/oauth/token") { Content = new StringContent(form, Encoding.UTF8, "application/x-www-form-urlencoded") };
        if (basic is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(basic)));
        if (from is not null) request.Headers.Add("X-Forwarded-For", from);
        return host.Client.SendAsync(request);
    }

    private static async Task<JsonNode> BodyAsync(HttpResponseMessage answer, int status)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == status, text);
        Assert.Equal("application/json", answer.Content.Headers.ContentType?.MediaType);
        return JsonNode.Parse(text)!;
    }
}
