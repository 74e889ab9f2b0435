using System.Security.Cryptography;
using System.Text;
using Harbour.Access;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Harbour.Tests.Access;

public sealed class AccessTokensTests : IDisposable
{
    private const string Issuer = "https://api.harbour.example";

    // Long past, so that a validation by the machine's clock would refuse every token.
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2020, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ECDsa ours = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly ECDsa theirs = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly IConfigurationRoot configuration;
    private readonly SigningKeys keys;
    private readonly AccessTokens tokens;

    public AccessTokensTests()
    {
        configuration = new ConfigurationBuilder().AddInMemoryCollection([new("Public:BaseUrl", Issuer + "/"), new("Secrets:oauth-signing-key", ours.ExportPkcs8PrivateKeyPem())]).Build();
        keys = new SigningKeys(new SecretReader(null, configuration, time, NullLogger<SecretReader>.Instance));
        tokens = new AccessTokens(keys, configuration, time, new Ids(time));
    }

    [Fact]
    public async Task An_issued_token_is_accepted_and_says_who_and_what()
    {
        var token = await IssueAsync();
        Assert.True((await tokens.ReadAsync(token)).Ok(out var claims, out _));
        Assert.Equal("harbour-demo", claims.ClientId);
        Assert.Equal(["charges:read", "fx:read"], claims.Scopes.ToArray());

        var jwt = new JsonWebToken(token);
        Assert.Equal(("at+jwt", "ES256"), (jwt.Typ, jwt.Alg));
        Assert.Equal((Issuer, "harbour-demo"), (jwt.Issuer, jwt.Subject));
        Assert.Equal([Issuer], jwt.Audiences);
        Assert.Equal(time.GetUtcNow().UtcDateTime, jwt.IssuedAt);
        Assert.Equal(time.GetUtcNow().UtcDateTime.AddHours(1), jwt.ValidTo);
        Assert.NotEmpty(jwt.Id);
        Assert.Equal((await keys.ReadAsync())[0].KeyId, jwt.Kid);
    }

    [Fact]
    public async Task A_token_is_accepted_to_the_last_moment_of_its_hour_by_the_injected_clock()
    {
        var token = await IssueAsync();
        time.Advance(TimeSpan.FromHours(1) - TimeSpan.FromMilliseconds(1));
        Assert.Null((await tokens.ReadAsync(token)).Error);
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal("expired_token", (await tokens.ReadAsync(token)).Error?.Code);
    }

    [Theory]
    [InlineData("iss", "https://other.example")]
    [InlineData("aud", "https://other.example")]
    [InlineData("client_id", "other")] // no longer the subject
    [InlineData("client_id", "a/b")]
    [InlineData("client_id", null)]
    [InlineData("scope", null)]
    [InlineData("exp", null)]
    [InlineData("iat", 4102444800)]
    public async Task A_token_of_ours_with_a_claim_that_is_not_right_is_refused(string claim, object? value) =>
        Assert.Equal("invalid_credential", (await tokens.ReadAsync(await SignAsync(claim: claim, value: value))).Error?.Code);

    [Fact]
    public async Task The_same_token_without_the_fault_is_accepted() => Assert.Null((await tokens.ReadAsync(await SignAsync())).Error);

    [Theory]
    [InlineData("typ", "JWT")]
    [InlineData("typ", null)]
    [InlineData("kid", "another")]
    [InlineData("kid", null)]
    [InlineData("alg", "ES384")]
    public async Task A_token_with_a_header_that_is_not_right_is_refused(string header, string? value) =>
        Assert.Equal("invalid_credential", (await tokens.ReadAsync(await SignAsync(header: header, headerValue: value))).Error?.Code);

    [Fact]
    public async Task A_token_signed_by_another_key_is_refused_even_under_our_key_id()
    {
        Assert.Equal("invalid_credential", (await tokens.ReadAsync(await SignAsync(signer: theirs))).Error?.Code);
        var jwk = $$"""{"kty":"EC","crv":"P-256","x":"{{Base64UrlEncoder.Encode(theirs.ExportParameters(false).Q.X!)}}","y":"{{Base64UrlEncoder.Encode(theirs.ExportParameters(false).Q.Y!)}}"}""";
        Assert.Equal("invalid_credential", (await tokens.ReadAsync(await SignAsync(signer: theirs, header: "jwk", rawHeader: jwk))).Error?.Code);
    }

    [Fact]
    public async Task A_token_without_a_signature_is_refused()
    {
        var parts = (await SignAsync(header: "alg", headerValue: "none")).Split('.');
        Assert.Equal("invalid_credential", (await tokens.ReadAsync($"{parts[0]}.{parts[1]}.")).Error?.Code);
        Assert.Equal("invalid_credential", (await tokens.ReadAsync($"{parts[0]}.{parts[1]}.{parts[2]}")).Error?.Code);
        Assert.Equal("invalid_credential", (await tokens.ReadAsync($"{parts[0]}.{parts[1]}")).Error?.Code);
    }

    [Fact]
    public async Task A_token_signed_with_the_public_key_as_a_shared_secret_is_refused()
    {
        foreach (var secret in new[] { ours.ExportSubjectPublicKeyInfoPem(), Convert.ToBase64String(ours.ExportSubjectPublicKeyInfo()) })
        {
            var unsigned = string.Join('.', (await SignAsync(header: "alg", headerValue: "HS256")).Split('.')[..2]);
            var mac = Base64UrlEncoder.Encode(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.ASCII.GetBytes(unsigned)));
            Assert.Equal("invalid_credential", (await tokens.ReadAsync($"{unsigned}.{mac}")).Error?.Code);
        }
    }

    [Theory]
    [InlineData("x")]
    [InlineData("a.b.c")]
    [InlineData("...")]
    [InlineData("....")]
    [InlineData("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..AAAA.AAAA.AAAA")]
    [InlineData("密.鑰.匙")]
    public async Task What_is_no_token_is_refused(string text) => Assert.Equal("invalid_credential", (await tokens.ReadAsync(text)).Error?.Code);

    [Fact]
    public async Task The_first_key_signs_and_all_keys_verify_so_that_a_rotation_refuses_no_one()
    {
        var old = await IssueAsync();
        configuration["Secrets:oauth-signing-key"] = ours.ExportPkcs8PrivateKeyPem() + "\n" + theirs.ExportECPrivateKeyPem();
        Assert.Equal(2, (await keys.ReadAsync()).Length);
        configuration["Secrets:oauth-signing-key"] = theirs.ExportECPrivateKeyPem() + "\n" + ours.ExportPkcs8PrivateKeyPem();
        var young = await IssueAsync();
        Assert.NotEqual(new JsonWebToken(old).Kid, new JsonWebToken(young).Kid);
        Assert.Null((await tokens.ReadAsync(old)).Error);
        Assert.Null((await tokens.ReadAsync(young)).Error);

        configuration["Secrets:oauth-signing-key"] = theirs.ExportECPrivateKeyPem();
        Assert.Equal("invalid_credential", (await tokens.ReadAsync(old)).Error?.Code);
        Assert.Null((await tokens.ReadAsync(young)).Error);
    }

    [Fact]
    public async Task A_signing_key_that_cannot_make_ES256_is_refused()
    {
        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        configuration["Secrets:oauth-signing-key"] = p384.ExportPkcs8PrivateKeyPem();
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await keys.ReadAsync());
        configuration["Secrets:oauth-signing-key"] = "no key";
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await keys.ReadAsync());
    }

    [Fact]
    public async Task What_is_published_of_a_key_is_its_public_half_under_its_thumbprint()
    {
        var text = Json.Text(SigningKeys.Published((await keys.ReadAsync())[0]));
        var jwk = new JsonWebKey(text);
        Assert.False(jwk.HasPrivateKey);
        Assert.DoesNotContain("\"d\"", text, StringComparison.Ordinal);
        Assert.Equal(jwk.Kid, Base64UrlEncoder.Encode(jwk.ComputeJwkThumbprint()));
        Assert.Null((await tokens.ReadAsync(await IssueAsync())).Error);
    }

    public void Dispose()
    {
        ours.Dispose();
        theirs.Dispose();
    }

    private async Task<string> IssueAsync() => (await tokens.IssueAsync("harbour-demo", ["charges:read", "fx:read"])).Reveal();

    /// <summary>A token as we would sign it, made by hand, with one thing changed; a value of null leaves the thing out.</summary>
    private async Task<string> SignAsync(string? claim = null, object? value = null, string? header = null, string? headerValue = null, string? rawHeader = null, ECDsa? signer = null)
    {
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        var head = new Dictionary<string, object?> { ["typ"] = "at+jwt", ["alg"] = "ES256", ["kid"] = (await keys.ReadAsync())[0].KeyId };
        var body = new Dictionary<string, object?> { ["iss"] = Issuer, ["aud"] = Issuer, ["sub"] = "harbour-demo", ["client_id"] = "harbour-demo", ["scope"] = "charges:read", ["iat"] = now, ["exp"] = now + 60, ["jti"] = "1" };
        if (header is not null) head[header] = rawHeader is null ? headerValue : System.Text.Json.Nodes.JsonNode.Parse(rawHeader);
        if (claim is not null) body[claim] = value;
        var unsigned = $"{Encode(head)}.{Encode(body)}";
        return $"{unsigned}.{Base64UrlEncoder.Encode((signer ?? ours).SignData(Encoding.ASCII.GetBytes(unsigned), HashAlgorithmName.SHA256))}";

        static string Encode(Dictionary<string, object?> members) =>
            Base64UrlEncoder.Encode(Json.Bytes(members.Where(m => m.Value is not null).ToDictionary(m => m.Key, m => m.Value)));
    }
}
