using Azure;
using Azure.Security.KeyVault.Secrets;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Moq;

namespace Harbour.Tests.Foundation;

public sealed class SecretReaderTests
{
    private readonly FakeTimeProvider time = new();
    private readonly Mock<SecretClient> vault = new();
    private readonly SecretReader reader;

    public SecretReaderTests() => reader = Reader(vault.Object);

    [Fact]
    public async Task Without_a_vault_secrets_come_from_the_configuration()
    {
        var reader = Reader(null, KeyValuePair.Create<string, string?>("Secrets:pepper", "from configuration"));
        Assert.Equal("from configuration", (await reader.ReadAsync("pepper")).Reveal());
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await reader.ReadAsync("salt"));
    }

    [Fact]
    public async Task A_secret_of_the_vault_is_read_once_in_five_minutes()
    {
        Holds("first");
        for (var i = 0; i < 5; i++, time.Advance(TimeSpan.FromMinutes(1))) Assert.Equal("first", (await reader.ReadAsync("pepper")).Reveal());
        Reads(1);
    }

    [Fact]
    public async Task A_rotated_secret_is_seen_after_five_minutes_without_a_restart()
    {
        Holds("first");
        await reader.ReadAsync("pepper");
        Holds("second");
        time.Advance(SecretReader.Freshness);
        Assert.Equal("second", (await reader.ReadAsync("pepper")).Reveal());
        Reads(2);
    }

    [Fact]
    public async Task While_the_vault_fails_the_known_value_goes_on_being_used()
    {
        Holds("first");
        await reader.ReadAsync("pepper");
        Fails(503);
        time.Advance(SecretReader.Freshness);
        Assert.Equal("first", (await reader.ReadAsync("pepper")).Reveal());
        Assert.Equal("first", (await reader.ReadAsync("pepper")).Reveal());
        Reads(2);
    }

    [Fact]
    public async Task A_vault_that_fails_before_anything_is_known_is_an_error()
    {
        Fails(503);
        await Assert.ThrowsAsync<RequestFailedException>(async () => await reader.ReadAsync("pepper"));
    }

    [Fact]
    public async Task A_secret_that_the_vault_does_not_hold_is_an_error_even_if_it_did_once()
    {
        Holds("first");
        await reader.ReadAsync("pepper");
        Fails(404);
        time.Advance(SecretReader.Freshness);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await reader.ReadAsync("pepper"));
    }

    [Fact]
    public void A_secret_does_not_print_itself() => Assert.Equal("***", $"{new Secret("value")}");

    private SecretReader Reader(SecretClient? client, params KeyValuePair<string, string?>[] settings) =>
        new(client, new ConfigurationBuilder().AddInMemoryCollection(settings).Build(), time, NullLogger<SecretReader>.Instance);

    private void Holds(string value) => vault
        .Setup(v => v.GetSecretAsync("pepper", null, It.IsAny<SecretContentType?>(), It.IsAny<CancellationToken>()))
        .ReturnsAsync(Response.FromValue(SecretModelFactory.KeyVaultSecret(SecretModelFactory.SecretProperties(), value), Mock.Of<Response>()));

    private void Fails(int status) => vault
        .Setup(v => v.GetSecretAsync("pepper", null, It.IsAny<SecretContentType?>(), It.IsAny<CancellationToken>()))
        .ThrowsAsync(new RequestFailedException(status, "no"));

    private void Reads(int times) => vault
        .Verify(v => v.GetSecretAsync("pepper", null, It.IsAny<SecretContentType?>(), It.IsAny<CancellationToken>()), Times.Exactly(times));
}
