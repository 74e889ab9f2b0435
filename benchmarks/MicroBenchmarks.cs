namespace Harbour.Benchmarks;
public static class MicroBenchmarks { public static void Run(string[] args) => Console.WriteLine(args.Length); }
