using Harbour.Access;
using Harbour.Foundation;

namespace Harbour.Requests;

/// <summary>What one commit changed.</summary>
/// <param name="Operation">charge.create, charge.settle…</param>
/// <param name="Objects">The objects that were made, changed or taken away; rows that only serve to find them are left out.</param>
public sealed record Change(string Operation, DateTimeOffset At, IReadOnlyList<ChangedObject> Objects, IReadOnlyList<ChangedBalance> Postings);

/// <param name="Change">created, changed or deleted.</param>
public sealed record ChangedObject(string Object, string Id, string Change);

/// <summary>One line that was posted to the ledger.</summary>
public sealed record ChangedBalance(string Id, string Type, string Account, long Amount, string Currency, string Source);

/// <summary>
/// What is known of one <c>X-Request-ID</c>. The caller chooses it, so it may stand for several calls, a try and its retries, and
/// for work that went on after the last of them was answered: the changes are those of all commits that carry it.
/// </summary>
/// <param name="HasMore">True when the id was used more often than is shown; the latest calls are.</param>
public sealed record Request(string Object, string Id, IReadOnlyList<LoggedCall> Calls, IReadOnlyList<Change> Changes, bool HasMore);

/// <summary>A commit's own record of itself, as the commit wrote it.</summary>
internal sealed record CommitRecord(string Operation, DateTimeOffset At, IReadOnlyList<string> Rows, IReadOnlyList<ChangedBalance> Postings)
{
    /// <summary>The kinds of rows that are objects of the API under another name.</summary>
    private static readonly Dictionary<string, string> Kinds = new(StringComparer.Ordinal) { ["hook"] = "webhook_endpoint" };

    /// <summary>How the ids of the objects begin.</summary>
    private static readonly Dictionary<string, string> Prefixes = new(StringComparer.Ordinal)
    {
        ["charge"] = "ch_",
        ["refund"] = "re_",
        ["customer"] = "cus_",
        ["mandate"] = "man_",
        ["subscription"] = "sub_",
        ["invoice"] = "inv_",
        ["quote"] = "quo_",
        ["split"] = "spl_",
        ["transfer"] = "tr_",
        ["batch_transfer"] = "bat_",
        ["wallet"] = "wal_",
        ["loan"] = "loan_",
        ["event"] = "evt_",
        ["webhook_endpoint"] = "whe_",
        ["report"] = "rpt_",
    };

    public Change Shown() => new(Operation, At, [.. Rows.Select(ObjectOf).OfType<ChangedObject>()], Postings);

    /// <summary>Reads <c>Add:charge|{inverted id}</c>, or <c>Add:invoice|{subscription}|{inverted id}</c>; null for a row that is no object.</summary>
    internal static ChangedObject? ObjectOf(string written)
    {
        if (written.Split(':', 2) is not [var action, var key] || key.Split('|') is not [var row, .., var place]) return null;
        var kind = Kinds.GetValueOrDefault(row, row);
        if (!Prefixes.TryGetValue(kind, out var prefix)) return null;
        var id = IsInverted(place) ? prefix + Sortable.Invert(place) : place;
        if (!id.StartsWith(prefix, StringComparison.Ordinal)) return null;
        return new ChangedObject(kind, id, action switch { "Add" => "created", "Delete" => "deleted", _ => "changed" });
    }

    /// <summary>The first character of a key is at most 7, so an inverted one is no key; all others may be any of the alphabet.</summary>
    private static bool IsInverted(string place) => place.Length == Sortable.KeyLength && Sortable.IsKey("0" + place[1..]);
}
