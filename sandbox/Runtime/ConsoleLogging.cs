using Harbour.Foundation;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Harbour.Sandbox.Runtime;

/// <summary>The sandbox's log: one line each with its scopes, quiet about frameworks, so that what Harbour says can be read.</summary>
internal static class ConsoleLogging
{
    public static ILoggingBuilder AddSandboxConsole(this ILoggingBuilder logging)
    {
        logging.SetMinimumLevel(LogLevel.Warning);
        logging.AddFilter("Harbour", LogLevel.Information);
        logging.AddConsole(o => o.FormatterName = LineFormatter.Id);
        logging.AddConsoleFormatter<LineFormatter, ConsoleFormatterOptions>();
        return logging;
    }

    /// <summary>
    /// The stock formatter prints the web server's scopes on every line (connection id, request id, path), which drowns the
    /// one that matters: the request id that the functions put there.
    /// </summary>
    private sealed class LineFormatter() : ConsoleFormatter(Id)
    {
        public const string Id = "harbour";

        public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
        {
            textWriter.Write(HongKong.Format(TimeProvider.System.GetUtcNow()) + " ");
            textWriter.Write(logEntry.LogLevel switch
            {
                LogLevel.Critical => "CRITICAL ",
                LogLevel.Error => "ERROR ",
                LogLevel.Warning => "warn ",
                LogLevel.Information => "info ",
                _ => "debug ",
            });
            textWriter.Write(logEntry.Category[(logEntry.Category.LastIndexOf('.') + 1)..]);
            scopeProvider?.ForEachScope(WriteScope, textWriter);
            textWriter.Write(": ");
            textWriter.Write(OneLine(logEntry.Formatter(logEntry.State, logEntry.Exception)));
            if (logEntry.Exception is { } e) textWriter.Write(" | " + OneLine(e.ToString()));
            textWriter.WriteLine();
        }

        private static void WriteScope(object? scope, TextWriter writer)
        {
            if (scope?.GetType().Namespace?.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) is not false) return;
            writer.Write(" [");
            writer.Write(scope is IEnumerable<KeyValuePair<string, object?>> pairs
                ? OneLine(string.Join(' ', pairs.Where(p => p.Key != "{OriginalFormat}").Select(p => $"{p.Key}={p.Value}")))
                : OneLine(scope.ToString()));
            writer.Write(']');
        }

        private static string OneLine(string? text) => text?.ReplaceLineEndings(" ") ?? "";
    }
}
