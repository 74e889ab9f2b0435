namespace Harbour.Benchmarks;
public static class BalanceRun { public static Task RunAsync(int postings) => Task.FromResult(postings); }
