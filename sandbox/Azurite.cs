using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging;

namespace Harbour.Sandbox;

/// <summary>
/// The sandbox's storage: Azurite as a supervised child with ports and a key of its own, in a session of its own.
/// <para>
/// Azurite writes to disk every five seconds and on SIGTERM. So a killed host loses nothing as long as its Azurite lives on:
/// the next start on the same data adopts it when it answers to our key, or ends it by SIGTERM and waits. Only an Azurite
/// that is itself killed may lose its last seconds.
/// </para>
/// </summary>
public sealed class Azurite : IAsyncDisposable
{
    /// <summary>The account of a host that has its Azurite to itself.</summary>
    public const string DefaultAccount = "harbour";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(60);

    private readonly Identity _identity;
    private readonly AzuriteProcess _process;
    private readonly Process? _launcher;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _ending = new();
    private readonly Task _watch;

    private Azurite(Identity identity, AzuriteProcess process, Process? launcher, string directory, ILogger logger)
    {
        (_identity, _process, _launcher, Directory, _logger) = (identity, process, launcher, directory, logger);
        _watch = WatchAsync();
    }

    public string ConnectionString => ConnectionStringFor(DefaultAccount);

    public int ProcessId => _process.Id;

    /// <summary>Where its identity file and its log are; in memory mode a temporary directory that goes with it.</summary>
    public string Directory { get; }

    /// <summary>Starts Azurite on that directory, or takes over the one that a killed host left running there.</summary>
    public static async Task<Azurite> StartAsync(string data, ILogger logger, CancellationToken cancellation)
    {
        var directory = Path.Combine(data, "azurite");
        System.IO.Directory.CreateDirectory(directory);
        // The host's secrets are in there.
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return await AdoptAsync(directory, logger, cancellation) ?? await StartAsync(directory, inMemory: false, [DefaultAccount], logger, cancellation);
    }

    /// <summary>
    /// Starts an Azurite that keeps nothing and ends with this process, however that ends. Each account is a storage of its
    /// own, so tests that run side by side can share one Azurite.
    /// </summary>
    public static Task<Azurite> StartInMemoryAsync(IReadOnlyList<string> accounts, ILogger logger, CancellationToken cancellation) =>
        StartAsync(System.IO.Directory.CreateTempSubdirectory("harbour-sandbox-").FullName, inMemory: true, accounts, logger, cancellation);

    public string ConnectionStringFor(string account) => _identity.ConnectionStringFor(account);

    /// <summary>Ends Azurite and waits until it has written all it holds.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await _watch;
        if (await _process.EndAsync(EndPatience))
        {
            // The watch of an Azurite in memory removes the whole directory, then goes; that closes the pipe.
            if (_launcher is not null) await _launcher.StandardOutput.ReadToEndAsync();
            else if (File.Exists(IdentityFile(Directory))) File.Delete(IdentityFile(Directory));
        }
        else
        {
            _logger.LogError("Azurite (process {Process}) did not end in {Patience}; the next start will try again", _process.Id, EndPatience);
        }

        _launcher?.Dispose();
        _ending.Dispose();
    }

    private static string IdentityFile(string directory) => Path.Combine(directory, "azurite.json");

    private static async Task<Azurite?> AdoptAsync(string directory, ILogger logger, CancellationToken cancellation)
    {
        if (!File.Exists(IdentityFile(directory))) return null;
        var identity = JsonSerializer.Deserialize<Identity>(await File.ReadAllTextAsync(IdentityFile(directory), cancellation))!;
        var orphan = new AzuriteProcess(identity.Pid, identity.TablePort);
        if (!orphan.IsRunning) return null;

        if (await AnswersAsync(identity.ConnectionStringFor(DefaultAccount), TimeSpan.FromSeconds(5), cancellation))
        {
            logger.LogInformation("Adopted the Azurite (process {Process}) that an earlier sandbox left running", identity.Pid);
            return new(identity, orphan, null, directory, logger);
        }

        logger.LogWarning("An Azurite (process {Process}) that an earlier sandbox left does not answer; ending it", identity.Pid);
        if (!await orphan.EndAsync(EndPatience))
            throw new SandboxException($"An earlier Azurite (process {identity.Pid}) holds {directory}, does not answer and does not end. End it, then start again.");
        return null;
    }

    private static async Task<Azurite> StartAsync(
        string directory, bool inMemory, IReadOnlyList<string> accounts, ILogger logger, CancellationToken cancellation)
    {
        // A port that is free when it is chosen may be taken a moment later, so an Azurite that ends at once gets other ones.
        for (var attempt = 1; ; attempt++)
        {
            var ports = FreePorts();
            var identity = new Identity(0, ports[0], ports[1], ports[2], Convert.ToBase64String(RandomNumberGenerator.GetBytes(64)));
            var (process, launcher) = await LaunchAsync(directory, inMemory, identity, accounts, cancellation);
            var since = TimeProvider.System.GetTimestamp();
            while (process.IsRunning)
            {
                if (await AnswersAsync(identity.ConnectionStringFor(accounts[0]), TimeSpan.FromSeconds(1), cancellation))
                    return new(identity with { Pid = process.Id }, process, launcher, directory, logger);
                if (TimeProvider.System.GetElapsedTime(since) > StartPatience) break;
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, cancellation);
            }

            await process.EndAsync(EndPatience);
            if (launcher is not null) await launcher.StandardOutput.ReadToEndAsync(cancellation);
            if (attempt == 3) throw new SandboxException($"Azurite did not start; {Path.Combine(directory, "azurite.log")} says why.");
            System.IO.Directory.CreateDirectory(directory);
        }
    }

    private static async Task<(AzuriteProcess Process, Process? Launcher)> LaunchAsync(
        string directory, bool inMemory, Identity identity, IReadOnlyList<string> accounts, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo("node") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        string[] arguments =
        [
            Path.Combine(SandboxOptions.SandboxDirectory, "azurite.mjs"), inMemory ? "drop" : "keep",
            IdentityFile(directory), Path.Combine(directory, "azurite.log"),
            "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--loose",
            // Azurite closes idle connections after five seconds; a request that meets the closing is lost, and a commit is not tried again.
            .. Service("blob", identity.BlobPort), .. Service("queue", identity.QueuePort), .. Service("table", identity.TablePort),
            .. inMemory ? ["--inMemoryPersistence"] : (string[])["--location", directory],
        ];
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["AZURITE_ACCOUNTS"] = string.Join(';', accounts.Select(a => $"{a}:{identity.AccountKey}"));
        start.Environment["HARBOUR_AZURITE_IDENTITY"] = JsonSerializer.Serialize(identity);

        Process launcher;
        try
        {
            launcher = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new SandboxException($"Node.js was not found: the sandbox keeps its data in Azurite, which needs Node.js 20 or later. ({e.Message})");
        }

        var line = await launcher.StandardOutput.ReadLineAsync(cancellation);
        if (!int.TryParse(line, CultureInfo.InvariantCulture, out var id))
        {
            var why = await launcher.StandardError.ReadToEndAsync(cancellation);
            throw new SandboxException($"Azurite could not be started. Build the sandbox again to install it. ({why.Trim().ReplaceLineEndings(" ")})");
        }

        var process = new AzuriteProcess(id, identity.TablePort);
        if (inMemory) return (process, launcher);
        await launcher.WaitForExitAsync(cancellation);
        launcher.Dispose();
        return (process, null);

        static string[] Service(string name, int port) =>
            [$"--{name}Host", "127.0.0.1", $"--{name}Port", port.ToString(CultureInfo.InvariantCulture), $"--{name}KeepAliveTimeout", "600"];
    }

    private static int[] FreePorts()
    {
        // All three are held before any is let go, so that they differ.
        var listeners = Enumerable.Range(0, 3).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(l => l.Start());
        var ports = listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port).ToArray();
        listeners.ForEach(l => l.Dispose());
        return ports;
    }

    private static async Task<bool> AnswersAsync(string connectionString, TimeSpan patience, CancellationToken cancellation)
    {
        var options = new TableClientOptions { Retry = { MaxRetries = 0, NetworkTimeout = patience } };
        try
        {
            await new TableServiceClient(connectionString, options).GetPropertiesAsync(cancellation);
            return true;
        }
        catch (Exception e) when (e is RequestFailedException or AggregateException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }

    private async Task WatchAsync()
    {
        try
        {
            await _process.WaitForEndAsync(_ending.Token);
            _logger.LogCritical(
                "Azurite (process {Process}) has ended under the running sandbox: every request that needs storage will fail. See {Log}, then start the sandbox again",
                _process.Id, Path.Combine(Directory, "azurite.log"));
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>How an Azurite is found again. It is written by azurite.mjs, to a file that only its owner can read.</summary>
    private sealed record Identity(int Pid, int BlobPort, int QueuePort, int TablePort, string AccountKey)
    {
        /// <summary>For whoever wants to look into the storage, or to start a second host on it.</summary>
        public string ConnectionString => ConnectionStringFor(DefaultAccount);

        public string ConnectionStringFor(string account) => string.Create(
            CultureInfo.InvariantCulture,
            $"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={AccountKey};BlobEndpoint=http://127.0.0.1:{BlobPort}/{account};QueueEndpoint=http://127.0.0.1:{QueuePort}/{account};TableEndpoint=http://127.0.0.1:{TablePort}/{account};");
    }
}
