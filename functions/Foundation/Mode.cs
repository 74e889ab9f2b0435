namespace Harbour.Foundation;

/// <summary>Test mode speaks to the providers' sandboxes, live mode to production. Data of one mode is invisible to the other.</summary>
public enum Mode { Test, Live }

/// <summary>
/// The partition of one merchant in one mode: everything that must change together lives in it, because a storage transaction
/// reaches no further.
/// </summary>
public readonly record struct Book(string Merchant, Mode Mode)
{
    /// <summary>The partition key in the table <c>books</c>.</summary>
    public string Partition => $"{Merchant}~{(Mode is Mode.Live ? "live" : "test")}";

    public static Book Parse(string partition) =>
        partition.Split('~') is [var merchant, "live" or "test"] ? new Book(merchant, partition.EndsWith("live", StringComparison.Ordinal) ? Mode.Live : Mode.Test)
            : throw new FormatException("Not a partition of the books.");
}
