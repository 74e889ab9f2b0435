namespace Harbour.Benchmarks;

/// <summary>How long each call of one side took in one round, and how long the round was.</summary>
/// <param name="Took">Milliseconds, sorted.</param>
public sealed record Round(double[] Took, double Seconds)
{
    public double PerSecond => Took.Length / Seconds;

    /// <summary>The nearest-rank percentile, in milliseconds.</summary>
    public double Percentile(int percent) => Took[(int)Math.Ceiling(percent / 100d * Took.Length) - 1];

    /// <summary>All rounds of one side as one.</summary>
    public static Round All(IReadOnlyCollection<Round> rounds) => new([.. rounds.SelectMany(r => r.Took).Order()], rounds.Sum(r => r.Seconds));
}

/// <summary>A ratio with its spread over the pairs of rounds. The median is quoted: one noisy round does not move it.</summary>
public sealed record Ratio(double Median, double Lowest, double Highest)
{
    public static Ratio Of(IEnumerable<double> pairs)
    {
        double[] sorted = [.. pairs.Order()];
        return new((sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2, sorted[0], sorted[^1]);
    }

    public override string ToString() => $"{Median:F2}  ({Lowest:F2} to {Highest:F2})";
}

/// <summary>Tables for a terminal: the first column to the left, numbers to the right.</summary>
public static class Report
{
    public static void Table(string title, params IReadOnlyList<string>[] rows)
    {
        Console.WriteLine();
        Console.WriteLine(title);
        var widths = Enumerable.Range(0, rows[0].Count).Select(column => rows.Max(row => row[column].Length)).ToArray();
        foreach (var row in rows)
            Console.WriteLine("  " + string.Join("   ", row.Select((cell, column) => column == 0 ? cell.PadRight(widths[0]) : cell.PadLeft(widths[column]))));
    }
}
