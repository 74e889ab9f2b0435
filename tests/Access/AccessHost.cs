using Azure.Core;
using Azure.Core.Pipeline;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Merchants;
using Harbour.Sandbox;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Access;

/// <summary>Harbour with a few functions that say what the Gate handed them, and with its requests to storage counted.</summary>
public sealed class AccessHost(SandboxFixture sandbox) : IAsyncLifetime
{
    private SandboxHost host = null!;

    public StorageRequests Storage { get; } = new();
    public HttpClient Client { get; private set; } = null!;
    public IServiceProvider Services => host.Services;
    public Uri Address => host.BaseAddress;

    public async Task InitializeAsync()
    {
        Type[] classes = [.. typeof(Gate).Assembly.GetTypes(), typeof(ProbeFunctions)];
        host = await sandbox.StartHostAsync(new SandboxOptions
        {
            FunctionClasses = classes,
            Configure = builder => builder.Services.WithoutWorkBesideRequests()
                .AddSingleton(new Routes(classes))
                .AddSingleton(s => new Storage(s.GetRequiredService<IConfiguration>(), o => o.AddPolicy(Storage, HttpPipelinePosition.PerRetry))),
        });
        Client = new HttpClient { BaseAddress = host.BaseAddress };
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        await host.DisposeAsync();
    }

    /// <summary>A key of a new merchant that may send only so much.</summary>
    public async Task<string> MakeKeyAsync(Func<Merchant, Merchant>? merchant = null, Func<Credential, Credential>? credential = null)
    {
        var ids = Services.GetRequiredService<Ids>();
        var owner = Merchant.OnStandardTerms(ids.New<Merchant>(), "Test");
        await Services.GetRequiredService<MerchantStore>().AddAsync(merchant?.Invoke(owner) ?? owner);

        var key = ApiKey.Make(Mode.Test, ids).Reveal();
        var proof = ApiKey.ProofOf(key, await Services.GetRequiredService<SecretReader>().ReadAsync(ApiKey.PepperSecret));
        var made = new Credential(ids.New<Credential>(), owner.Id, Mode.Test, CredentialKind.Key, Handles.OfKey(proof), proof, Scopes.All, AllowList.Everyone);
        await Services.GetRequiredService<CredentialStore>().AddAsync(credential?.Invoke(made) ?? made);
        return key;
    }
}

/// <summary>Counts what is sent to storage, and can make it fail.</summary>
public sealed class StorageRequests : HttpPipelineSynchronousPolicy
{
    private int count;

    public int Count => Volatile.Read(ref count);
    public bool Fail { get; set; }

    public override void OnSendingRequest(HttpMessage message)
    {
        // 403 is a failure that the SDK does not try again, so that a test need not wait.
        if (Fail) throw new Azure.RequestFailedException(403, "no");
        Interlocked.Increment(ref count);
    }
}

public static class ProbeFunctions
{
    [Function("Probe"), Access("charges:read")]
    public static IResult Read([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/probes/{what}")] HttpRequest request, string what)
    {
        if (what == "boom") throw new InvalidOperationException("the inside of it");
        return Seen(Call.Of(request));
    }

    [Function("ProbeWrite"), Access("charges:write", Idempotency = true)]
    public static IResult Write([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/probes")] HttpRequest request) => Seen(Call.Of(request));

    [Function("ProbeReplace"), Access("charges:write")]
    public static IResult Replace([HttpTrigger(AuthorizationLevel.Anonymous, "put", Route = "v1/probes/{what}")] HttpRequest request) => Seen(Call.Of(request));

    [Function("ProbeBatch"), Access("transfers:write", MaxBody = 8 << 20)]
    public static IResult Batch([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/probe_batches")] HttpRequest request) => Seen(Call.Of(request));

    [Function("ProbePublic"), Public(MaxBody = 1000)]
    public static IResult Public([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "probes")] HttpRequest request)
    {
        var call = Call.Of(request);
        return Answer.Ok(new { call.IsAuthenticated, Size = call.Body.Length, call.RequestId });
    }

    private static Answer Seen(Call call) => Answer.Ok(new
    {
        call.RequestId,
        call.Book.Partition,
        call.Mode,
        Merchant = call.Merchant.Id,
        call.Scopes,
        call.IdempotencyKey,
        call.RequestHash,
        call.ClientAddress,
        call.Path,
        Size = call.Body.Length,
        call.Language,
    });
}
