using System.Globalization;

namespace Harbour.Benchmarks;

/// <summary>Chooses what is measured: <c>charges</c>, <c>balance</c>, <c>orchestrations</c> or <c>micro</c>. README.md says how to read the answers.</summary>
public static class Program
{
    private const string Usage =
        """
        Usage: dotnet run -c Release --project benchmarks -- <what> [options]

          charges   POST /v1/charges beside the raw cost of what it stores and sends
                    --seconds 48          time spent measuring, over all rounds
                    --concurrency 1,16    clients at once, one level after the other
          balance   balance reads and refunds with few, many and very new postings
                    --postings 100000     how many the large account has
          orchestrations   orchestrations of three activities each, all started at once, on the sandbox's engine
                    --count 500           how many
          micro     the pure parts of the request path (the options are BenchmarkDotNet's)
        """;

    public static async Task<int> Main(string[] args)
    {
        try
        {
            switch (args)
            {
                case ["charges", .. var rest]:
                    var (seconds, concurrency) = (Option(rest, "--seconds", "48"), Option(rest, "--concurrency", "1,16"));
                    await ChargesRun.RunAsync(TimeSpan.FromSeconds(Number(seconds)), [.. concurrency.Split(',').Select(Number)]);
                    return 0;
                case ["balance", .. var rest]:
                    await BalanceRun.RunAsync(Number(Option(rest, "--postings", "100000")));
                    return 0;
                case ["orchestrations", .. var rest]:
                    await OrchestrationsRun.RunAsync(Number(Option(rest, "--count", "500")));
                    return 0;
                case ["micro", .. var rest]:
                    MicroBenchmarks.Run(rest);
                    return 0;
                default:
                    Console.WriteLine(Usage);
                    return 2;
            }
        }
        catch (FormatException)
        {
            Console.WriteLine(Usage);
            return 2;
        }
    }

    private static string Option(string[] args, string name, string otherwise) =>
        Array.IndexOf(args, name) is >= 0 and var at ? args.ElementAtOrDefault(at + 1) ?? throw new FormatException() : otherwise;

    private static int Number(string text) =>
        int.Parse(text, CultureInfo.InvariantCulture) is > 0 and var number ? number : throw new FormatException();
}
