using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Harbour.Foundation;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Harbour.Sandbox.Providers;

/// <summary>
/// A Stripe of our own on a loopback port: the same HTTP, so the connector that is tested is the one that is shipped. It has its own
/// listener, so that it can really refuse connections, and comes back on the same port. What a request changed is on disk before it
/// is answered. The rules are in <see cref="StripeRules"/>; here is what surrounds them: keys, idempotency, faults.
/// </summary>
public sealed class StripeSimulator : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly HashSet<(Mode, string)> running = [];
    private readonly SemaphoreSlim switching = new(1, 1);
    private readonly StripeBooks books;
    private readonly StripeRules rules;
    private readonly Ids ids;
    private readonly Random chance;
    private WebApplication? listener;
    private bool disposed;

    private StripeSimulator(string? dataDirectory, TimeProvider time, int seed)
    {
        books = new StripeBooks(dataDirectory);
        ids = new Ids(time);
        rules = new StripeRules(books, time, ids, payment => ChallengeLink(payment.Id), new StripeStored(books, time, ids, ChallengeLink));
        chance = new Random(seed);
    }

    /// <summary>Where it listens, or listened before it went down: <c>http://127.0.0.1:…</c>.</summary>
    public Uri BaseAddress { get; private set; } = new("http://127.0.0.1");

    /// <summary>The address of the sandbox, to which links in challenges lead.</summary>
    public Uri PublicAddress { get; set; } = new("http://localhost:7071");

    /// <summary>What is wrong with it now; <see cref="SetFaultsAsync"/> changes it.</summary>
    public Faults Faults { get; private set; } = new();

    /// <summary>Starts on a free loopback port.</summary>
    /// <param name="dataDirectory">Where the journal is; null keeps nothing.</param>
    /// <param name="time">Stamps what is made. Latency is real time.</param>
    /// <param name="seed">Decides which requests <see cref="Faults.ErrorRate"/> hits.</param>
    public static async Task<StripeSimulator> StartAsync(string? dataDirectory, TimeProvider time, int seed = 1)
    {
        var simulator = new StripeSimulator(dataDirectory, time, seed);
        try
        {
            // Below the range from which outgoing connections take their ports, so that it is still free after a time of being down.
            for (var attempt = 1; ; attempt++)
            {
                simulator.BaseAddress = new Uri($"http://127.0.0.1:{RandomNumberGenerator.GetInt32(20_000, 32_000)}");
                try
                {
                    await simulator.ListenAsync();
                    return simulator;
                }
                catch (IOException) when (attempt < 50)
                {
                }
            }
        }
        catch
        {
            simulator.books.Dispose();
            throw;
        }
    }

    /// <summary>All payments it believes in, oldest first; of one mode or of both.</summary>
    public IReadOnlyList<SimulatedPayment> Payments(Mode? mode = null)
    {
        lock (gate) return [.. books.Payments.Where(payment => mode is null || payment.Mode == mode).Select(Row)];
    }

    /// <summary>The payer ends a challenge. Null if there is no such payment, or it does not wait for one.</summary>
    public SimulatedPayment? Authenticate(string reference, bool success)
    {
        lock (gate)
        {
            if ((books.Payment(Mode.Test, reference) ?? books.Payment(Mode.Live, reference)) is not { } payment) return null;
            if (rules.Authenticate(payment, success) is not { } after) return null;
            books.Commit(new StripeChange(after, null, null));
            return Row(after);
        }
    }

    /// <summary>The payer ends the challenge of a setup. False if there is no such setup, or it does not wait for one.</summary>
    /// <param name="returnUrl">Where the payer goes then, if the merchant said so.</param>
    public bool AuthenticateSetup(string reference, bool success, out string? returnUrl)
    {
        lock (gate)
        {
            var setup = books.Setup(Mode.Test, reference) ?? books.Setup(Mode.Live, reference);
            returnUrl = setup?.ReturnUrl;
            if (setup is not { Status: "requires_action" }) return false;
            books.Commit(new StripeChange(null, null, null, Setup: StripeStored.Authenticate(setup, success)));
            return true;
        }
    }

    /// <summary>Makes it slow, failing or deaf, or well again. Going down cuts the connections that are open.</summary>
    public async Task SetFaultsAsync(Faults faults)
    {
        await switching.WaitAsync();
        try
        {
            Faults = faults;
            if (faults.Down) await StopListeningAsync();
            else if (listener is null && !disposed) await ListenAsync();
        }
        finally
        {
            switching.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await switching.WaitAsync();
        try
        {
            if (disposed) return;
            disposed = true;
            await StopListeningAsync();
            lock (gate) books.Dispose();
        }
        finally
        {
            switching.Release();
        }
    }

    private async Task ListenAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 256 * 1024;
            kestrel.Listen(IPAddress.Loopback, BaseAddress.Port);
        });
        var app = builder.Build();
        app.Run(HandleAsync);
        try
        {
            await app.StartAsync();
            listener = app;
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
    }

    private async Task StopListeningAsync()
    {
        if (listener is not { } app) return;
        listener = null;
        // No time for goodbyes: a provider that goes down does not wait for its clients.
        await app.StopAsync(new CancellationToken(canceled: true));
        await app.DisposeAsync();
    }

    private async Task HandleAsync(HttpContext context)
    {
        context.Response.Headers["Request-Id"] = "req_" + ids.NewKey();
        if (ModeOf(context.Request.Headers.Authorization) is not { } mode)
        {
            await AnswerAsync(context, 401, StripeJson.Error("invalid_request_error", null, "Invalid API Key provided."));
            return;
        }

        var request = await ReadAsync(context.Request, mode);
        var key = request.IsPost ? context.Request.Headers["Idempotency-Key"].ToString() : "";
        var (status, body, hangs) = await CarryOutAsync(request, key.Length == 0 ? null : key);
        if (hangs) await GoneAsync(context.RequestAborted);
        else await AnswerAsync(context, status, body);
    }

    /// <summary>Carries a request out once for its key. Not even the client's leaving stops it, as it would not stop Stripe.</summary>
    private async Task<(int Status, byte[] Body, bool Hangs)> CarryOutAsync(StripeRequest request, string? key)
    {
        if (key is not null)
        {
            lock (gate)
            {
                if (!running.Add((request.Mode, key)))
                    return (409, Bytes(StripeJson.Error("idempotency_error", "idempotency_key_in_use", "Another request uses this key now.")), false);
            }
        }

        try
        {
            if (Faults.LatencyMs is > 0 and var latency) await Task.Delay(TimeSpan.FromMilliseconds(latency), TimeProvider.System);
            lock (gate)
            {
                ObjectDisposedException.ThrowIf(disposed, this);
                return HandleOnce(request, key);
            }
        }
        finally
        {
            if (key is not null) lock (gate) running.Remove((request.Mode, key));
        }
    }

    private (int Status, byte[] Body, bool Hangs) HandleOnce(StripeRequest request, string? key)
    {
        var fingerprint = key is null ? "" : Fingerprint(request);
        if (key is not null && books.Kept(request.Mode, key, rules.Now) is { } kept)
            return kept.Fingerprint == fingerprint
                ? (kept.Status, Bytes(kept.Body), kept.Status == 0)
                : (400, Bytes(StripeJson.Error("idempotency_error", null, "Keys can only be used with the parameters they were first used with.")), false);

        // Half of the errors come before anything is done, and leave no trace. The other half come after it was done.
        var failing = Faults.ErrorRate > 0 && chance.NextDouble() < Faults.ErrorRate;
        if (failing && (!request.IsPost || chance.Next(2) == 0)) return (500, Bytes(StripeRules.ServerError()), false);

        var reply = rules.Handle(request);
        if (failing && reply.Begun) reply = reply with { Status = 500, Body = StripeRules.ServerError() };
        if (reply.Begun)
            books.Commit(new StripeChange(reply.Payment, reply.Refund,
                key is null ? null : new StripeKept(request.Mode, key, fingerprint, rules.Now, reply.Hangs ? 0 : reply.Status, reply.Body),
                reply.Customer, reply.Setup, reply.Method));
        return (reply.Status, Bytes(reply.Body), reply.Hangs);
    }

    private string ChallengeLink(string reference) =>
        new Uri(PublicAddress, $"/sandbox/providers/stripe/payments/{reference}/authenticate").ToString();

    private static async Task<StripeRequest> ReadAsync(HttpRequest request, Mode mode)
    {
        var isPost = HttpMethods.IsPost(request.Method);
        IEnumerable<KeyValuePair<string, StringValues>> parameters =
            isPost ? request.HasFormContentType ? await request.ReadFormAsync() : [] : request.Query;
        var path = request.Path.Value?.Split('/', StringSplitOptions.RemoveEmptyEntries) ?? [];
        return new StripeRequest(mode, isPost, path is ["v1", .. var rest] ? rest : [],
            parameters.ToDictionary(p => p.Key, p => p.Value.ToString(), StringComparer.Ordinal));
    }

    /// <summary>Any well-formed secret key is good: which ones are right is configuration of the platform, not of the simulator.</summary>
    private static Mode? ModeOf(string? authorization) => authorization switch
    {
        not null when authorization.StartsWith("Bearer sk_test_", StringComparison.Ordinal) => Mode.Test,
        not null when authorization.StartsWith("Bearer sk_live_", StringComparison.Ordinal) => Mode.Live,
        _ => null,
    };

    private static string Fingerprint(StripeRequest request)
    {
        var text = new StringBuilder().AppendJoin('/', request.Path);
        foreach (var (name, value) in request.Parameters.OrderBy(p => p.Key, StringComparer.Ordinal))
            text.Append(CultureInfo.InvariantCulture, $"\n{name.Length}:{name}={value}");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>Holds the connection until the client gives up.</summary>
    private static async Task GoneAsync(CancellationToken aborted)
    {
        var gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (aborted.Register(gone.SetResult)) await gone.Task;
    }

    private static byte[] Bytes(JsonObject body) => Encoding.UTF8.GetBytes(body.ToJsonString());

    private static Task AnswerAsync(HttpContext context, int status, JsonObject body) => AnswerAsync(context, status, Bytes(body));

    private static Task AnswerAsync(HttpContext context, int status, byte[] body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = body.Length;
        // Stripe's advice: a lock clears, a kept error does not.
        if (status is 409 or 500) context.Response.Headers["Stripe-Should-Retry"] = status == 409 ? "true" : "false";
        return context.Response.Body.WriteAsync(body, 0, body.Length);
    }

    private static SimulatedPayment Row(StripePayment payment) => new(
        payment.Id, payment.Metadata.GetValueOrDefault("harbour_charge"), payment.Amount, payment.Captured, payment.Refunded,
        payment.Currency.ToUpperInvariant(),
        payment.Status switch
        {
            "requires_capture" => "authorized",
            "requires_payment_method" => "failed",
            "requires_confirmation" => "processing",
            "canceled" when payment.Captured > 0 => "succeeded",
            var same => same,
        })
    {
        Mode = payment.Mode,
        ReturnUrl = payment.ReturnUrl,
    };
}
