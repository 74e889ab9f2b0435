using System.Text;
using Harbour.Foundation;

namespace Harbour.Access;

/// <summary>Adds to a commit that the idempotency key made this object and was answered so.</summary>
public delegate void KeepAnswer(Commit commit, string @object, Answer answer);

/// <summary>
/// The frame of every POST that changes something. The key decides first: what it was answered before is answered again, another request
/// under it is refused, one that is still running is told so, and one whose first call ended without an answer is taken up. Only a
/// fresh key starts work, and work that met another writer starts over from what is now true. A POST that need not carry a key and
/// carries none runs under one that nobody else has.
/// </summary>
public sealed class Idempotency(Books books, ActivityMarkers activity, TimeProvider time, Ids ids)
{
    /// <summary>How often work that met another writer starts over before the caller is told to try again.</summary>
    public const int MaxRounds = 30;

    /// <summary>Claims are read in the request's first round, beside the activity marker.</summary>
    /// <param name="start">Does the work with the key's row, null for a new key; answers null when another writer was first.</param>
    /// <param name="resume">Finds out what became of the work that a call with this key began.</param>
    public async Task<Answer> RunAsync(Call call, Func<string, Row<Claim>?, Task<Answer?>> start, Func<Row<Claim>, Task<Answer>> resume)
    {
        var key = Foundation.Claim.Key(call.IdempotencyKey ?? ids.NewKey());
        var reading = books.ReadAsync<Claim>(call.Book, key);
        await Task.WhenAll(reading, activity.MarkAsync(call.Book));
        var known = await reading;
        for (var round = 1; ; round++)
        {
            var admission = known?.Value.Admit(call.RequestHash, time.GetUtcNow()) ?? Admission.Fresh;
            if (admission is Admission.Replay) return Answer.Kept(known!.Value.Status!.Value, known.Value.Body!);
            if (admission is Admission.Reused) return call.Problem(Errors.IdempotencyKeyReused with { Param = "Idempotency-Key" });
            if (admission is Admission.InUse) return call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) });
            if (admission is Admission.Resume)
            {
                if (await TakeOverAsync(call, known!) is { } taken) return await FinalAsync(call, key, await resume(taken));
            }
            else if (await start(key, known) is { } answer)
            {
                // What the work was refused for may be what another call with this very key has just done; then that one's word counts.
                if (answer.Status is not (404 or 409 or 422) || round == MaxRounds) return answer;
                var other = await books.ReadAsync<Claim>(call.Book, key);
                if (other?.ETag == known?.ETag) return answer;
                known = other;
                continue;
            }

            if (round == MaxRounds) return call.Problem(Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromSeconds(1) });

            await Task.Delay(TimeSpan.FromMilliseconds(ids.RandomBytes(1)[0] % Math.Min(100, 10 * round)), TimeProvider.System);
            known = await books.ReadAsync<Claim>(call.Book, key);
        }
    }

    /// <summary>
    /// The frame of a POST whose whole work is one commit: the answer is kept by the same commit, so there is never half of it to take up.
    /// </summary>
    /// <param name="work">Does the work; answers null when another writer was first.</param>
    /// <param name="seal">Makes an answer unreadable where it is kept, if it must be; <paramref name="open"/> turns it back.</param>
    public async Task<Answer> RunWholeAsync(Call call, Func<KeepAnswer, Task<Answer?>> work, Func<string, string>? seal = null, Func<string, string>? open = null)
    {
        var answer = await RunAsync(call,
            (key, known) => work((commit, @object, answer) =>
            {
                var claim = Claim(call, @object, known, time.GetUtcNow()).Answered(answer);
                Put(commit, key, known, seal is null ? claim : claim with { Body = seal(claim.Body!) });
            }),
            _ => Task.FromResult(call.Problem(Errors.IdempotencyKeyInUse with { RetryAfter = TimeSpan.FromSeconds(1) })));
        return open is not null && answer.Replayed ? Answer.Kept(answer.Status, open(Encoding.UTF8.GetString(answer.Body))) : answer;
    }

    /// <summary>Takes the lease of a key whose first call has ended, so that of many who ask at once only one asks the provider.</summary>
    private async Task<Row<Claim>?> TakeOverAsync(Call call, Row<Claim> known)
    {
        var claim = known.Value with { LeaseUntil = time.GetUtcNow() + OpenWork.Lease };
        var commit = books.Begin(call.Book, call.RequestId, "resume");
        commit.Replace(known.Key, known.ETag, claim);
        return await commit.SubmitAsync() is { } committed ? new Row<Claim>(known.Key, claim, committed.Tag(known.Key)) : null;
    }

    /// <summary>Whoever settled the work kept an answer; that one is given, so that a key has one final answer to the letter.</summary>
    private async Task<Answer> FinalAsync(Call call, string key, Answer resumed) =>
        await books.ReadAsync<Claim>(call.Book, key) is { Value: { Status: { } status, Body: { } body } } ? Answer.Kept(status, body) : resumed;

    /// <summary>The claim of a key for an object, from now until the lease ends.</summary>
    public static Claim Claim(Call call, string @object, Row<Claim>? known, DateTimeOffset now) =>
        new(call.RequestHash, @object, now + OpenWork.Lease, known?.Value.CreatedAt ?? now, call.RequestId, call.Language);

    /// <summary>
    /// The id of the object that a key makes. A key that was released keeps its object's id, unless it is used for another kind of
    /// object now.
    /// </summary>
    public Id<T> IdFor<T>(Row<Claim>? known) where T : IHasId => Id<T>.TryParse(known?.Value.Object, out var id) ? id : ids.New<T>();

    /// <summary>Writes the claim of a key: a new row, or the row that a call before released.</summary>
    public static void Put(Commit commit, string key, Row<Claim>? known, Claim claim)
    {
        if (known is null) commit.Insert(key, claim);
        else commit.Replace(key, known.ETag, claim);
    }
}
