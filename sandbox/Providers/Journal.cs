using System.Text;
using System.Text.Json;

namespace Harbour.Sandbox.Providers;

/// <summary>
/// An append-only file of JSON lines. An entry is with the operating system before <see cref="Append"/> returns, in one write, so
/// that a process killed at any moment loses nothing that it had answered. What a kill can leave is an incomplete last line: it was
/// never answered, and is cut off at the next start. Without a directory nothing is kept.
/// </summary>
internal sealed class Journal<T> : IDisposable
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web);
    private readonly FileStream? file;

    private Journal(FileStream? file) => this.file = file;

    /// <summary>Opens the journal, and hands what it holds to <paramref name="replay"/> in the order in which it was written.</summary>
    /// <exception cref="InvalidDataException">A line before the last can't be read: the file was damaged by something else.</exception>
    public static Journal<T> Open(string? directory, string name, Action<T> replay)
    {
        if (directory is null) return new Journal<T>(null);
        Directory.CreateDirectory(directory);
        var file = new FileStream(
            Path.Combine(directory, name + ".journal"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
        try
        {
            Replay(file, replay);
            return new Journal<T>(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Writes an entry. The caller lets one in at a time.</summary>
    public void Append(T entry)
    {
        if (file is null) return;
        var line = JsonSerializer.SerializeToUtf8Bytes(entry, Format);
        Array.Resize(ref line, line.Length + 1);
        line[^1] = (byte)'\n';
        file.Write(line);
    }

    public void Dispose() => file?.Dispose();

    private static void Replay(FileStream file, Action<T> replay)
    {
        long good = 0;
        using (var reader = new StreamReader(file, Encoding.UTF8, detectEncodingFromByteOrderMarks: false, bufferSize: 1 << 16, leaveOpen: true))
        {
            while (reader.ReadLine() is { } line)
            {
                var end = good + Encoding.UTF8.GetByteCount(line) + 1;
                // Without its line break the last line is incomplete, even if it happens to parse.
                if (end > file.Length) break;
                try
                {
                    replay(JsonSerializer.Deserialize<T>(line, Format)!);
                }
                catch (JsonException exception)
                {
                    throw new InvalidDataException($"{file.Name} is damaged at byte {good}.", exception);
                }

                good = end;
            }
        }

        file.SetLength(good);
        file.Seek(0, SeekOrigin.End);
    }
}
