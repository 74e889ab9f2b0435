namespace Harbour.Foundation;

/// <summary>
/// The marker of a provider call whose outcome is not settled: the row <c>open|{object}</c>, written before the call and taken away
/// by the commit that settles it. What a crash leaves behind is found through it.
/// </summary>
/// <param name="Kind">charge, capture, cancel, refund or mandate.</param>
/// <param name="Object">The id of what is open: a charge, a refund, or one capture or cancellation of a charge.</param>
/// <param name="Charge">The charge that it belongs to; of a mandate, the mandate itself.</param>
/// <param name="Claim">The row of the idempotency key that waits for the final answer; null when no caller waits.</param>
/// <param name="SentAt">When the provider call could first have been sent.</param>
/// <param name="Due">When the provider is asked next.</param>
/// <param name="Looks">How often it was asked.</param>
/// <param name="Lapsed">True when it was given up as never received, and is looked at once more in case it landed after all.</param>
public sealed record OpenWork(string Kind, string Object, string Charge, string? Claim, DateTimeOffset SentAt, DateTimeOffset Due, int Looks = 0, bool Lapsed = false)
{
    /// <summary>How long after the marker a provider call may still begin. Past it, the call is not made at all.</summary>
    public static readonly TimeSpan SendWindow = TimeSpan.FromSeconds(15);

    /// <summary>A provider call ends within this, and the commit that follows it within as much again.</summary>
    public static readonly TimeSpan Lease = SendWindow + TimeSpan.FromSeconds(30);

    /// <summary>From this age on, that the provider knows nothing of it is final: a slow original has landed by then or never will.</summary>
    public static readonly TimeSpan AbsenceIsFinalFrom = TimeSpan.FromMinutes(15);

    private static readonly TimeSpan[] Schedule = [TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(15), TimeSpan.FromMinutes(60)];
    private static readonly TimeSpan Afterwards = TimeSpan.FromHours(6);

    public static string Key(string @object) => "open|" + @object;

    public static OpenWork Begin(string kind, string @object, string charge, string? claim, DateTimeOffset now) => new(kind, @object, charge, claim, now, now + Schedule[0]);

    /// <summary>The key that waits for the final answer, as it is now.</summary>
    public async Task<Row<Claim>?> ReadClaimAsync(Books books, Book book) => Claim is null ? null : await books.ReadAsync<Claim>(book, Claim);

    /// <summary>True once the next look is due. A client that asks in between does not put it off.</summary>
    public bool IsDue(DateTimeOffset now) => now >= Due;

    /// <summary>After a look that settled nothing: the looks come 1, 5, 15 and 60 minutes after sending, then every six hours.</summary>
    public OpenWork Looked(DateTimeOffset now)
    {
        var looks = Looks + 1;
        var due = SentAt + (looks < Schedule.Length ? Schedule[looks] : Schedule[^1] + (looks - Schedule.Length + 1) * Afterwards);
        return this with { Looks = looks, Due = due > now ? due : now + Schedule[0] };
    }

    /// <summary>After it was given up: the next look is the last.</summary>
    public OpenWork Lapse(DateTimeOffset now) => Looked(now) with { Lapsed = true };

    /// <summary>Up to when what was sent may have reached the provider, as far as a look now can tell.</summary>
    public DateTimeOffset MayHaveLandedUntil(DateTimeOffset now) => Lapsed ? now : SentAt + AbsenceIsFinalFrom;

    public bool AbsenceIsFinal(DateTimeOffset now) => now - SentAt >= AbsenceIsFinalFrom;
}
