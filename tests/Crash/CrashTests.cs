using System.Diagnostics;
using Harbour.Sandbox;
using Harbour.Tests.Conventions;

namespace Harbour.Tests.Crash;

/// <summary>The crash script, short; run it by hand for more kills: <c>node tests/Crash/crash.mjs --kills 5</c>.</summary>
public sealed class CrashTests
{
    [Fact]
    public async Task No_money_is_lost_or_moved_twice_when_the_host_is_killed_under_load()
    {
        var start = new ProcessStartInfo("node") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { Path.Combine(Repository.Root, "tests", "Crash", "crash.mjs"), "--kills", "2", "--clients", "4", "--seconds", "1.5", "--host", typeof(SandboxHost).Assembly.Location })
            start.ArgumentList.Add(argument);
        using var script = Process.Start(start)!;
        var said = await Task.WhenAll(script.StandardOutput.ReadToEndAsync(), script.StandardError.ReadToEndAsync());
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode == 0, string.Concat(said));
        Assert.Contains("OK: ", said[0]);
    }
}
