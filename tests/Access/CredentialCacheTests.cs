using Azure.Core;
using Azure.Core.Pipeline;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Access;

/// <summary>On real storage, by a clock that the test moves, with the requests to storage counted.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class CredentialCacheTests
{
    private readonly FakeTimeProvider time = new();
    private readonly StorageRequests requests = new();
    private readonly CredentialStore credentials;
    private readonly MerchantStore merchants;
    private readonly CredentialCache cache;
    private readonly Ids ids = new(TimeProvider.System);

    public CredentialCacheTests(SandboxFixture sandbox)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new("Storage:ConnectionString", sandbox.Host.StorageConnectionString)]).Build();
        var storage = new Storage(configuration, o => o.AddPolicy(requests, HttpPipelinePosition.PerRetry));
        (credentials, merchants) = (new CredentialStore(storage), new MerchantStore(storage));
        cache = new CredentialCache(credentials, merchants, time, NullLogger<CredentialCache>.Instance);
    }

    [Fact]
    public async Task A_credential_that_was_read_is_served_for_half_a_minute_without_a_read()
    {
        var made = await AddAsync();
        Assert.Equal(made.Id, (await cache.FindAsync(made.Handle))?.Credential.Id);
        var before = requests.Count;
        time.Advance(CredentialCache.Fresh - TimeSpan.FromTicks(1));
        for (var i = 0; i < 100; i++) Assert.NotNull(await cache.FindAsync(made.Handle));
        Assert.Equal(before, requests.Count);
    }

    [Fact(Timeout = 30_000)]
    public async Task After_half_a_minute_the_old_one_is_served_at_once_while_one_refresh_runs()
    {
        var made = await AddAsync();
        await cache.FindAsync(made.Handle);
        await RevokeAsync(made);
        time.Advance(CredentialCache.Fresh);

        var before = requests.Count;
        var served = cache.FindAsync(made.Handle);
        Assert.True(served.IsCompletedSuccessfully);
        for (var i = 0; i < 20; i++) await cache.FindAsync(made.Handle);
        await Until(async () => (await cache.FindAsync(made.Handle))?.Credential.RevokedAt is not null);
        Assert.Equal(before + 3, requests.Count); // the pointer, the credential, the merchant: once
    }

    [Fact]
    public async Task After_a_minute_no_one_is_served_what_was_true_before()
    {
        var made = await AddAsync();
        await cache.FindAsync(made.Handle);
        await RevokeAsync(made);
        time.Advance(CredentialCache.Usable);
        Assert.NotNull((await cache.FindAsync(made.Handle))?.Credential.RevokedAt);
    }

    [Fact]
    public async Task A_change_of_the_merchant_is_seen_within_a_minute_too()
    {
        var made = await AddAsync();
        await cache.FindAsync(made.Handle);
        await merchants.ChangeAsync(made.Merchant, m => m with { Status = MerchantStatus.Suspended });
        time.Advance(CredentialCache.Usable);
        Assert.Equal(MerchantStatus.Suspended, (await cache.FindAsync(made.Handle))?.Merchant.Status);
    }

    [Fact]
    public async Task An_unknown_handle_is_asked_for_once_in_ten_seconds()
    {
        Assert.Null(await cache.FindAsync("key|none"));
        var before = requests.Count;
        for (var i = 0; i < 10; i++) Assert.Null(await cache.FindAsync("key|none"));
        Assert.Equal(before, requests.Count);
        time.Advance(CredentialCache.Forgotten);
        Assert.Null(await cache.FindAsync("key|none"));
        Assert.Equal(before + 1, requests.Count);
    }

    [Fact]
    public async Task Many_who_wait_for_one_credential_cost_one_read()
    {
        var made = await AddAsync();
        var before = requests.Count;
        var found = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => cache.FindAsync(made.Handle).AsTask()));
        Assert.All(found, Assert.NotNull);
        Assert.Equal(before + 3, requests.Count);
    }

    [Fact]
    public async Task When_storage_fails_the_old_one_serves_to_the_end_of_its_minute_and_not_beyond()
    {
        var made = await AddAsync();
        await cache.FindAsync(made.Handle);
        requests.Fail = true;
        time.Advance(CredentialCache.Usable - TimeSpan.FromSeconds(1));
        Assert.NotNull(await cache.FindAsync(made.Handle));
        time.Advance(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAnyAsync<Exception>(async () => await cache.FindAsync(made.Handle));
        requests.Fail = false;
        Assert.NotNull(await cache.FindAsync(made.Handle));
    }

    [Fact]
    public async Task Adding_again_changes_nothing_and_completes_what_was_left_half_done()
    {
        var made = await AddAsync();
        await RevokeAsync(made);
        await credentials.AddAsync(made);
        Assert.NotNull((await credentials.FindAsync(made.Handle))?.RevokedAt);
    }

    [Fact]
    public async Task Changes_at_once_are_all_kept()
    {
        var made = await AddAsync();
        await Task.WhenAll(
            credentials.ChangeAsync(made.Merchant, made.Id, c => c with { RevokedAt = DateTimeOffset.UnixEpoch }),
            credentials.ChangeAsync(made.Merchant, made.Id, c => c with { Scopes = ["fx:read"] }),
            credentials.ChangeAsync(made.Merchant, made.Id, c => c with { AllowedFrom = AllowList.Parse("203.0.113.0/24") }));
        var stored = await credentials.FindAsync(made.Handle);
        Assert.NotNull(stored?.RevokedAt);
        Assert.Equal(["fx:read"], stored.Scopes.ToArray());
        Assert.Single(stored.AllowedFrom.Networks);
        Assert.Null(await credentials.ChangeAsync(made.Merchant, ids.New<Credential>(), c => c));
    }

    private async Task<Credential> AddAsync()
    {
        var merchant = Merchant.OnStandardTerms(ids.New<Merchant>(), "Test");
        await merchants.AddAsync(merchant);
        var proof = ApiKey.ProofOf(ApiKey.Make(Mode.Test, ids).Reveal(), new Secret("pepper"));
        var credential = new Credential(ids.New<Credential>(), merchant.Id, Mode.Test, CredentialKind.Key, Handles.OfKey(proof), proof, Scopes.All, AllowList.Everyone);
        await credentials.AddAsync(credential);
        return credential;
    }

    private Task<Credential?> RevokeAsync(Credential credential) =>
        credentials.ChangeAsync(credential.Merchant, credential.Id, c => c with { RevokedAt = DateTimeOffset.UnixEpoch });

    private static async Task Until(Func<Task<bool>> condition)
    {
        while (!await condition()) await Task.Yield();
    }
}
