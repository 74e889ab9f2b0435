using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Harbour.Sandbox;

/// <summary>
/// An Azurite that may be another process's child: an orphan has to be found, watched and ended as well as one's own.
/// </summary>
internal sealed class AzuriteProcess(int id, int tablePort)
{
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(50);

    public int Id => id;

    /// <summary>
    /// Whether it still runs and is Azurite, since a process id is used again. One that has ended and was not yet collected by
    /// its parent (in a container often nobody does) counts as ended.
    /// </summary>
    public bool IsRunning
    {
        get
        {
            try
            {
                if (!OperatingSystem.IsLinux())
                {
                    using var process = Process.GetProcessById(id);
                    return process.ProcessName.StartsWith("node", StringComparison.OrdinalIgnoreCase);
                }

                var stat = File.ReadAllText($"/proc/{id}/stat");
                var arguments = File.ReadAllText($"/proc/{id}/cmdline").Split('\0');
                return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X')
                    && arguments.Contains("--tablePort") && arguments.Contains(tablePort.ToString(CultureInfo.InvariantCulture));
            }
            catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException or InvalidOperationException)
            {
                return false;
            }
        }
    }

    /// <summary>Asks it to end by SIGTERM, on which it writes what it holds in memory, and waits until it has. False when it did not in that time.</summary>
    public async Task<bool> EndAsync(TimeSpan patience)
    {
        if (!IsRunning) return true;
        if (OperatingSystem.IsWindows()) Process.GetProcessById(id).Kill();
        else _ = Signal(id, 15);

        var since = TimeProvider.System.GetTimestamp();
        while (IsRunning)
        {
            if (TimeProvider.System.GetElapsedTime(since) > patience) return false;
            await Task.Delay(Glance, TimeProvider.System);
        }

        return true;
    }

    public async Task WaitForEndAsync(CancellationToken cancellation)
    {
        while (IsRunning) await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, cancellation);
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Signal(int process, int signal);
}
