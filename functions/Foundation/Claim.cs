using System.Security.Cryptography;
using System.Text;

namespace Harbour.Foundation;

/// <summary>What a call with a known idempotency key is to do.</summary>
public enum Admission { Fresh, Replay, Reused, InUse, Resume }

/// <summary>
/// An idempotency key in use. It binds the key to one object for good: whatever crashes or races, a later call with the key finds
/// that object and never makes a second one. The lease says that a call is working on it; when the lease has run out without an
/// answer, the next call takes the work up.
/// </summary>
/// <param name="Request">The fingerprint of the request: the same key with another one is refused.</param>
/// <param name="Object">The id of the object that the key made.</param>
/// <param name="LeaseUntil">Until then the call that claimed the key is at work.</param>
/// <param name="RequestId">The request that claimed the key: it is the one that the final answer names, whoever finds it.</param>
/// <param name="Language">The language in which that request was to be answered.</param>
/// <param name="Status">The HTTP status of the final answer, once there is one.</param>
/// <param name="Body">The body of the final answer.</param>
/// <param name="Released">True when the work left nothing behind: the key may be used again, and makes the same object.</param>
public sealed record Claim(
    string Request, string Object, DateTimeOffset LeaseUntil, DateTimeOffset CreatedAt, string RequestId, Language Language,
    int? Status = null, string? Body = null, bool Released = false)
{
    /// <summary>The row of a key. Keys are the caller's text, so they are hashed.</summary>
    public static string Key(string idempotencyKey) => "idem|" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(idempotencyKey)));

    public Admission Admit(string request, DateTimeOffset now)
    {
        if (Released) return Admission.Fresh;
        if (Request != request) return Admission.Reused;
        if (Status is not null) return Admission.Replay;
        return now < LeaseUntil ? Admission.InUse : Admission.Resume;
    }

    /// <summary>The claim with its final answer.</summary>
    public Claim Answered(Answer answer) => this with { Status = answer.Status, Body = Encoding.UTF8.GetString(answer.Body) };

    /// <summary>The claim after work that left nothing behind.</summary>
    public Claim Release(DateTimeOffset now) => this with { Released = true, LeaseUntil = now };
}
