namespace Harbour.Sandbox;

/// <summary>
/// SANDBOX_DATA: one directory, one host. The lock is an open file, so that a host that was killed leaves none behind.
/// </summary>
internal sealed class DataDirectory : IDisposable
{
    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held) => (Path, _lock) = (path, held);

    public string Path { get; }

    public static DataDirectory Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        Directory.CreateDirectory(path);
        try
        {
            return new(path, new FileStream(System.IO.Path.Combine(path, "host.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SandboxException($"{path} is in use by another sandbox. Stop that one, or set SANDBOX_DATA to another directory. ({e.Message})");
        }
    }

    public void Dispose() => _lock.Dispose();
}
