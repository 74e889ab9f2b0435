using Harbour.Tests.Conventions;

namespace Harbour.Tests.Simulation;

/// <summary>The short versions of <c>crash.mjs</c> and <c>renewals.mjs</c>: the real process, killed twice in the middle of its work.</summary>
[Collection(nameof(UsesSandbox))]
public sealed class CrashTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    [Theory]
    [InlineData("crash.mjs")]
    [InlineData("renewals.mjs")]
    public async Task A_sandbox_that_is_killed_loses_and_doubles_nothing(string scenario)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        var start = new System.Diagnostics.ProcessStartInfo("node", [Path.Combine(Repository.Root, "tests", "Simulation", scenario)]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["CRASH_KILLS"] = "2";
        start.Environment["CRASH_SANDBOX"] = Path.Combine(Repository.Root, "sandbox", "bin", configuration, "net10.0", "Harbour.Sandbox.dll");

        using var script = System.Diagnostics.Process.Start(start)!;
        var (output, errors) = (script.StandardOutput.ReadToEndAsync(), script.StandardError.ReadToEndAsync());
        using var patience = new CancellationTokenSource(Patience);
        await script.WaitForExitAsync(patience.Token);
        Assert.True(script.ExitCode == 0, await output + await errors);
    }
}
