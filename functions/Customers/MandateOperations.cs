using Harbour.Access;
using Harbour.Foundation;
using Harbour.Providers;
using Microsoft.Extensions.Logging;

namespace Harbour.Customers;

/// <summary>What a caller asked for when storing an authorisation without a charge.</summary>
public sealed record MandateRequest(string MethodType, string Token, string? ReturnUrl)
{
    public static Result<MandateRequest> Read(ReadOnlyMemory<byte> body, IReadOnlyCollection<string> methods)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;
        var ((type, token), returnUrl) = (MethodField.Read(fields, methods), fields.HttpsUrl("return_url"));
        return fields.Finish() is { } refusal ? refusal : new MandateRequest(type!, token!, returnUrl);
    }
}

/// <summary>
/// How an authorisation is stored, used and revoked. Storing one moves no money, so what ended without an answer is simply asked for
/// again under the same id: whoever finds a pending mandate (a retry or the janitor) settles it through <see cref="ResolveAsync"/>.
/// </summary>
public sealed class MandateOperations(
    Books books, MandateStore store, CustomerOperations customers, Router router, Idempotency idempotency, TimeProvider time, ILogger<MandateOperations> log)
{
    public Task<Row<Mandate>?> FindAsync(Book book, Id<Mandate> id, CancellationToken cancellation = default) => store.FindAsync(book, id, cancellation);

    /// <summary>Adds to a commit the mandate that a first payment made.</summary>
    public static void Open(Commit commit, Mandate mandate)
    {
        MandateStore.Insert(commit, mandate);
        commit.Emit(mandate.Event!, MandateView.Of(mandate));
    }

    /// <summary>
    /// Adds to the commit that begins a charge that the mandate is as it was read. A revocation and a charge that begins at the same
    /// moment cannot both pass: once a revocation is answered, nothing begins any more.
    /// </summary>
    public static void Hold(Commit commit, Row<Mandate> mandate) => commit.Replace(mandate.Key, mandate.ETag, mandate.Value);

    /// <summary>Stores an authorisation, or answers what the same key was answered before.</summary>
    public Task<Answer> CreateAsync(Call call, Id<Customer> customer, MandateRequest request) => idempotency.RunAsync(call,
        (key, known) => StartAsync(call, customer, request, key, known),
        async claim => await ResolveAsync(call.Book, Id<Mandate>.Parse(claim.Value.Object), call.RequestId) is { } mandate
            ? Answering(mandate, claim.Value)
            : call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) }));

    private async Task<Answer?> StartAsync(Call call, Id<Customer> customerId, MandateRequest request, string key, Row<Claim>? known)
    {
        if (await customers.FindAsync(call.Book, customerId) is not { } customer) return call.Problem(Errors.CustomerNotFound);
        var provider = router.For(request.MethodType);
        if (!(await customers.AtProviderAsync(call.Book, customer, provider.Name, call.RequestId)).Ok(out var atProvider, out var refusal)) return call.Problem(refusal);

        var id = idempotency.IdFor<Mandate>(known);
        var now = time.GetUtcNow();
        var mandate = new Mandate
        {
            Id = id,
            Customer = customerId,
            Mode = call.Mode,
            Status = MandateStatus.Pending,
            Method = new MandateMethod(request.MethodType, null),
            Provider = provider.Name,
            Setup = new MandateSetup(atProvider, request.Token, request.ReturnUrl),
            RequestId = call.RequestId,
            CreatedAt = id.MadeAt,
            UpdatedAt = now,
        };
        var claim = Idempotency.Claim(call, id.Value, known, now);
        var open = OpenWork.Begin("mandate", id.Value, id.Value, key, now);
        var commit = books.Begin(call.Book, call.RequestId, "mandate.create");
        Idempotency.Put(commit, key, known, claim);
        MandateStore.Insert(commit, mandate);
        commit.Insert(OpenWork.Key(open.Object), open);
        if (await commit.SubmitAsync() is not { } committed) return null;

        var work = new Work(
            call.Book, call.RequestId, new Row<Mandate>(MandateStore.Key(id), mandate, committed.Tag(MandateStore.Key(id))),
            new Row<OpenWork>(OpenWork.Key(open.Object), open, committed.Tag(OpenWork.Key(open.Object))), new Row<Claim>(key, claim, committed.Tag(key)));
        var outcome = await SetUpAsync(work);
        try
        {
            if (outcome is not ProviderOutcome.NotAttempted not) return Answering(await SettleAsync(work, outcome), claim);
            log.LogWarning("Mandate {Mandate} was not attempted: {Reason}", id, not.Reason);
            return await WithdrawAsync(work) is { } settled ? Answering(settled, claim) : call.Problem(Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (StorageException e)
        {
            log.LogError(e, "What became of mandate {Mandate} could not be written; it resolves later", id);
            return Answer.Of(202, MandateView.Of(mandate));
        }
    }

    /// <summary>Asks the provider to store the payment method: the first time, and again when the answer was lost.</summary>
    private Task<ProviderOutcome> SetUpAsync(Work work)
    {
        var (mandate, setup) = (work.Mandate.Value, work.Mandate.Value.Setup!);
        return router.Named(mandate.Provider).SetUpAsync(
            new ProviderSetup(mandate.Id.Value, mandate.Mode, setup.Customer, mandate.Method.Type, setup.Token, work.Book.Merchant, setup.ReturnUrl, work.RequestId), CancellationToken.None);
    }

    /// <summary>Finds out how a pending mandate stands and settles it, or notes that it was asked about. Null when there is no such mandate.</summary>
    public async Task<Mandate?> ResolveAsync(Book book, Id<Mandate> id, string requestId)
    {
        var (mandate, marker) = (await store.FindAsync(book, id), await books.ReadAsync<OpenWork>(book, OpenWork.Key(id.Value)));
        if (mandate is null || marker is null) return mandate?.Value;
        var work = new Work(book, requestId, mandate, marker, await marker.Value.ReadClaimAsync(books, book), Looked: true);
        var outcome = mandate.Value switch
        {
            { Status: not MandateStatus.Pending } => new ProviderOutcome.NotAttempted("it is settled"),
            { Setup.Reference: { } reference } => await router.Named(mandate.Value.Provider).FindSetupAsync(new ProviderFindSetup(reference, book.Mode, requestId), CancellationToken.None),
            _ => await SetUpAsync(work),
        };
        return await SettleAsync(work, outcome);
    }

    /// <summary>Writes what the provider said; where another writer settled the mandate first, that stands.</summary>
    private async Task<Mandate> SettleAsync(Work work, ProviderOutcome outcome)
    {
        var round = 0;
        for (Work? open = work; open is not null && round < Idempotency.MaxRounds; open = await ReopenAsync(open), round++)
        {
            var now = time.GetUtcNow();
            var before = open.Mandate.Value;
            var after = before.After(outcome, now);
            var mandate = after ?? before;
            var commit = books.Begin(open.Book, open.RequestId, "mandate.settle");
            if (after is not null) commit.Replace(open.Mandate.Key, open.Mandate.ETag, after);
            if (after?.Event is { } type) commit.Emit(type, MandateView.Of(after));
            if (mandate.Status is not MandateStatus.Pending) commit.Delete(open.Marker.Key, open.Marker.ETag);
            else if (open.Looked && open.Marker.Value.IsDue(now)) commit.Replace(open.Marker.Key, open.Marker.ETag, open.Marker.Value.Looked(now));
            if (open.Claim is { Value.Status: null } claim)
            {
                var answer = Answering(mandate, claim.Value);
                commit.Replace(claim.Key, claim.ETag, answer.Status == 202 ? claim.Value with { LeaseUntil = now } : claim.Value.Answered(answer));
            }

            if (await commit.SubmitAsync() is null) continue;
            log.LogInformation("Mandate {Mandate} is {Status}", mandate.Id, mandate.Status);
            // Revoked while it was being stored: what the provider stored after all is not to be kept there.
            if (before.Status is MandateStatus.Revoked && outcome is ProviderOutcome.KnownSetup { Setup.Stored: { } stored }) await DetachAsync(before with { Stored = stored }, open.RequestId);
            return mandate;
        }

        return (await store.FindAsync(work.Book, work.Mandate.Value.Id))?.Value ?? work.Mandate.Value;
    }

    /// <summary>Takes back a mandate that provably never reached the provider. Answers the mandate if another writer settled it first.</summary>
    private async Task<Mandate?> WithdrawAsync(Work work)
    {
        var commit = books.Begin(work.Book, work.RequestId, "mandate.withdraw");
        MandateStore.Remove(commit, work.Mandate);
        commit.Delete(work.Marker.Key, work.Marker.ETag);
        commit.Replace(work.Claim!.Key, work.Claim.ETag, work.Claim.Value.Release(time.GetUtcNow()));
        return await commit.SubmitAsync() is null ? (await store.FindAsync(work.Book, work.Mandate.Value.Id))?.Value : null;
    }

    /// <summary>The rows as they are now; null once another writer has settled the mandate.</summary>
    private async Task<Work?> ReopenAsync(Work work)
    {
        var mandate = await store.FindAsync(work.Book, work.Mandate.Value.Id);
        var marker = await books.ReadAsync<OpenWork>(work.Book, work.Marker.Key);
        return mandate is null || marker is null ? null : work with { Mandate = mandate, Marker = marker, Claim = await marker.Value.ReadClaimAsync(books, work.Book) };
    }

    /// <summary>Revokes a mandate: from the commit on nothing begins on it. That the provider forgets it as well is tried once.</summary>
    public async Task<Answer> RevokeAsync(Call call, Id<Mandate> id)
    {
        Mandate? revoked = null;
        var answer = await idempotency.RunAsync(call, async (key, known) =>
        {
            if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.MandateNotFound);
            var now = time.GetUtcNow();
            if (!row.Value.Revoke(now).Ok(out var mandate, out var refusal)) return call.Problem(refusal);
            var answer = Answer.Of(200, MandateView.Of(mandate));
            var commit = books.Begin(call.Book, call.RequestId, "mandate.revoke");
            Idempotency.Put(commit, key, known, Idempotency.Claim(call, id.Value, known, now).Answered(answer));
            commit.Replace(row.Key, row.ETag, mandate);
            commit.Emit(mandate.Event!, MandateView.Of(mandate));
            if (await commit.SubmitAsync() is null) return null;
            revoked = mandate;
            return answer;
        }, claim => throw new InvalidOperationException($"{claim.Value.Object} was claimed without an answer."));
        if (revoked is not null) await DetachAsync(revoked, call.RequestId);
        return answer;
    }

    private async Task DetachAsync(Mandate mandate, string requestId)
    {
        if (mandate.Stored is not { } stored) return;
        var outcome = await router.Named(mandate.Provider).DetachAsync(new ProviderDetach(mandate.Id.Value, mandate.Mode, stored.Method, requestId), CancellationToken.None);
        if (outcome is not ProviderOutcome.Detached) log.LogWarning("The payment method of {Mandate} may still be stored at {Provider}", mandate.Id, mandate.Provider);
    }

    /// <summary>A mandate that waits for the payer is an answer; one that waits for the provider is not yet.</summary>
    private static Answer Answering(Mandate mandate, Claim claim)
    {
        if (mandate is { Status: MandateStatus.Pending, NextAction: null }) return Answer.Of(202, MandateView.Of(mandate));
        return mandate.Failure is { } failure
            ? Answer.Problem(Errors.Decline(failure.Code).About("mandate", mandate.Id.Value) with { DeclineCode = failure.DeclineCode }, claim.RequestId, claim.Language)
            : Answer.Of(201, MandateView.Of(mandate));
    }

    /// <summary>A mandate that is not settled, with the rows that settling it changes.</summary>
    /// <param name="Looked">True when the outcome came from asking, so that the next look is put off.</param>
    private sealed record Work(Book Book, string RequestId, Row<Mandate> Mandate, Row<OpenWork> Marker, Row<Claim>? Claim, bool Looked = false);
}
