using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Access;

public sealed class CredentialTests
{
    private static readonly Ids Ids = new(new FakeTimeProvider());

    [Theory]
    [InlineData(Mode.Test, "sk_test_")]
    [InlineData(Mode.Live, "sk_live_")]
    public void A_made_key_says_its_mode_and_carries_its_checksum(Mode mode, string prefix)
    {
        var key = ApiKey.Make(mode, Ids).Reveal();
        Assert.StartsWith(prefix, key);
        Assert.Equal(prefix.Length + 39, key.Length);
        Assert.True(ApiKey.IsPlausible(key, null));
    }

    [Fact]
    public void No_two_made_keys_are_the_same() =>
        Assert.Equal(1000, Enumerable.Range(0, 1000).Select(_ => ApiKey.Make(Mode.Test, Ids).Reveal()).Distinct().Count());

    [Fact]
    public void A_key_with_any_one_character_changed_is_junk()
    {
        var key = ApiKey.Make(Mode.Test, Ids).Reveal();
        for (var i = 0; i < key.Length; i++)
        {
            var mistyped = key[..i] + (key[i] == '0' ? '1' : '0') + key[(i + 1)..];
            Assert.False(ApiKey.IsPlausible(mistyped, null), mistyped);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("sk_")]
    [InlineData("sk_test_")]
    [InlineData("sk_live_")]
    [InlineData("sk_prod_harbour_demo")]
    [InlineData("SK_TEST_harbour_demo")]
    [InlineData("sk_test_Harbour_demo")]
    [InlineData("pk_test_harbour_demo")]
    [InlineData("sk_test_密鑰")]
    public void What_has_neither_checksum_nor_the_configured_prefix_is_junk(string text) => Assert.False(ApiKey.IsPlausible(text, "harbour_"));

    [Fact]
    public void The_demo_keys_are_plausible_only_where_their_prefix_is_configured()
    {
        Assert.True(ApiKey.IsPlausible("sk_test_harbour_demo", "harbour_"));
        Assert.True(ApiKey.IsPlausible("sk_live_harbour_demo", "harbour_"));
        Assert.False(ApiKey.IsPlausible("sk_test_harbour_demo", null));
        Assert.False(ApiKey.IsPlausible("sk_test_harbour_demo", ""));
        Assert.False(ApiKey.IsPlausible("sk_test_harbour_" + new string('x', 200), "harbour_"));
    }

    [Fact]
    public void The_proof_depends_on_the_key_and_on_the_pepper()
    {
        var proof = ApiKey.ProofOf("key", new Secret("pepper"));
        Assert.Matches("^[0-9a-f]{64}$", proof);
        Assert.Equal(proof, ApiKey.ProofOf("key", new Secret("pepper")));
        Assert.NotEqual(proof, ApiKey.ProofOf("Key", new Secret("pepper")));
        Assert.NotEqual(proof, ApiKey.ProofOf("key", new Secret("Pepper")));
    }

    [Fact]
    public void A_credential_ends_at_its_expiry_and_at_its_revocation()
    {
        var now = new DateTimeOffset(2026, 11, 23, 10, 0, 0, HongKong.Offset);
        var credential = Demo();
        Assert.True(credential.IsValidAt(now));
        Assert.True((credential with { ExpiresAt = now.AddTicks(1) }).IsValidAt(now));
        Assert.False((credential with { ExpiresAt = now }).IsValidAt(now));
        Assert.False((credential with { RevokedAt = now }).IsValidAt(now));
    }

    [Fact]
    public void A_credential_reads_the_same_after_it_was_stored()
    {
        var credential = Demo() with { AllowedFrom = AllowList.Parse("203.0.113.0/24"), ExpiresAt = new DateTimeOffset(2027, 1, 1, 0, 0, 0, HongKong.Offset) };
        Assert.Equal(Json.Text(credential), Json.Text(Json.Parse<Credential>(Json.Text(credential))));
    }

    [Theory]
    [InlineData("harbour-demo", true)]
    [InlineData("", false)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("a#", false)]
    [InlineData("客戶", false)]
    public void A_client_id_needs_no_escaping(string text, bool valid) => Assert.Equal(valid, Handles.IsClientId(text));

    [Fact]
    public void Two_sets_of_scopes_share_what_is_in_both() =>
        Assert.Equal(["fx:read"], Scopes.Both(Scopes.Split("charges:read fx:read other"), ["fx:read", "charges:write"]).ToArray());

    private static Credential Demo() => new(
        Id<Credential>.Parse("key_00000000000000000000000001"), Id<Merchant>.Parse("mch_00000000000000000000000001"), Mode.Test,
        CredentialKind.Key, "key|0", "0", ["charges:read"], AllowList.Everyone);
}
