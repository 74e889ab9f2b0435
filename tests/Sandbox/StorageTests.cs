using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Azure.Data.Tables;
using Harbour.Sandbox;
using Microsoft.Extensions.Logging.Abstractions;

namespace Harbour.Tests.Sandbox;

public sealed class StorageTests : IDisposable
{
    private readonly string _data = Directory.CreateTempSubdirectory("harbour-tests-").FullName;

    public void Dispose() => Directory.Delete(_data, recursive: true);

    [Fact]
    public async Task A_killed_host_loses_nothing_and_the_next_one_adopts_its_storage()
    {
        int azurite;
        using (var process = await StartProcessAsync())
        {
            azurite = ReadIdentity();
            // SIGKILL: the host has no chance to end its storage or to say goodbye.
            process.Kill();
            await process.WaitForExitAsync();
        }

        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_data, "azurite", "azurite.json")));

        await using (var host = await SandboxHost.StartAsync(new SandboxOptions { Data = _data }))
        {
            Assert.Equal(azurite, ReadIdentity());
            Assert.NotNull(await ReadPepperAsync(host));
        }

        Assert.False(IsRunning(azurite));
    }

    [Fact]
    public async Task Data_survives_a_restart_and_one_directory_serves_one_host()
    {
        string? pepper;
        await using (var host = await SandboxHost.StartAsync(new SandboxOptions { Data = _data }))
        {
            pepper = await ReadPepperAsync(host);
            var refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxHost.StartAsync(new SandboxOptions { Data = _data }));
            Assert.Contains(_data, refused.Message, StringComparison.Ordinal);
        }

        await using var again = await SandboxHost.StartAsync(new SandboxOptions { Data = _data });
        Assert.Equal(pepper, await ReadPepperAsync(again));
    }

    [Fact]
    public async Task Storage_in_memory_leaves_nothing_behind()
    {
        var azurite = await Azurite.StartInMemoryAsync([Azurite.DefaultAccount], NullLogger.Instance, CancellationToken.None);
        Assert.True(IsRunning(azurite.ProcessId));
        await azurite.DisposeAsync();

        Assert.False(IsRunning(azurite.ProcessId));
        Assert.False(Directory.Exists(azurite.Directory));
    }

    [Fact]
    public async Task A_taken_port_is_told_before_anything_is_started()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;

        var refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxHost.StartAsync(new SandboxOptions { Port = port, Data = _data }));

        Assert.Contains($"Port {port} is taken", refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_data));
    }

    /// <summary>Starts the sandbox as its user does, and waits until it says where it listens.</summary>
    private async Task<Process> StartProcessAsync()
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Harbour.Sandbox.dll")])
        {
            RedirectStandardOutput = true,
            Environment = { ["SANDBOX_DATA"] = _data, ["SANDBOX_PORT"] = "0", ["SANDBOX_STORAGE"] = null, ["SANDBOX_ROLE"] = null },
        };
        var process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string? line;
        do line = await process.StandardOutput.ReadLineAsync(deadline.Token);
        while (line?.Contains("listens on", StringComparison.Ordinal) is false);
        Assert.NotNull(line);
        return process;
    }

    private int ReadIdentity()
    {
        using var identity = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(_data, "azurite", "azurite.json")));
        return identity.RootElement.GetProperty("Pid").GetInt32();
    }

    private static async Task<string?> ReadPepperAsync(SandboxHost host)
    {
        var row = await new TableClient(host.StorageConnectionString, "sandbox").GetEntityAsync<TableEntity>("settings", "Secrets:api-key-pepper");
        return row.Value.GetString("Value");
    }

    /// <summary>A process that has ended but was not collected by its parent does not run.</summary>
    private static bool IsRunning(int id)
    {
        var stat = $"/proc/{id.ToString(CultureInfo.InvariantCulture)}/stat";
        if (OperatingSystem.IsLinux()) return File.Exists(stat) && !File.ReadAllText(stat).Contains(") Z ", StringComparison.Ordinal);
        return Process.GetProcesses().Any(p => p.Id == id);
    }
}
