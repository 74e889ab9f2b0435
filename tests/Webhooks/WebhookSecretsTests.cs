using System.Security.Cryptography;
using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Tests.Webhooks;

public sealed class WebhookSecretsTests
{
    private static readonly string First = Convert.ToBase64String(new byte[32]), Second = Convert.ToBase64String([.. Enumerable.Repeat((byte)7, 32)]);

    [Fact]
    public void A_secret_has_the_form_of_the_specification_and_no_two_are_alike()
    {
        var (one, other) = (Secrets(First).Make(), Secrets(First).Make());
        Assert.StartsWith("whsec_", one.Reveal());
        Assert.Equal(32, Convert.FromBase64String(one.Reveal()[6..]).Length);
        Assert.NotEqual(one.Reveal(), other.Reveal());
        Assert.Equal("***", one.ToString());
    }

    [Fact]
    public async Task What_is_sealed_opens_in_its_place_alone()
    {
        var box = await Secrets(First).OpenAsync();
        var sealed1 = box.Seal("whsec_secret", "whe_1");
        Assert.DoesNotContain("whsec", sealed1);
        Assert.NotEqual(sealed1, box.Seal("whsec_secret", "whe_1"));
        Assert.Equal("whsec_secret", box.Open(sealed1, "whe_1").Reveal());
        Assert.ThrowsAny<CryptographicException>(() => box.Open(sealed1, "whe_2"));
        Assert.ThrowsAny<CryptographicException>(() => box.Open("00000000" + sealed1[8..], "whe_1"));
    }

    [Fact]
    public async Task The_key_can_be_rotated()
    {
        var old = (await Secrets(First).OpenAsync()).Seal("text", "place");
        var both = await Secrets($"{Second} {First}").OpenAsync();
        Assert.Equal("text", both.Open(old, "place").Reveal());
        var renewed = both.Seal("text", "place");
        Assert.Equal("text", (await Secrets(Second).OpenAsync()).Open(renewed, "place").Reveal());
        await Assert.ThrowsAnyAsync<CryptographicException>(async () => (await Secrets(Second).OpenAsync()).Open(old, "place"));
    }

    [Fact]
    public async Task A_key_of_another_length_is_refused() =>
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await Secrets(Convert.ToBase64String(new byte[16])).OpenAsync());

    private static WebhookSecrets Secrets(string key)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create<string, string?>("Secrets:" + WebhookSecrets.KeySecret, key)]).Build();
        return new WebhookSecrets(new SecretReader(null, configuration, TimeProvider.System, NullLogger<SecretReader>.Instance), new Ids(TimeProvider.System));
    }
}
