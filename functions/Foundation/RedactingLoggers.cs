using System.Collections;
using Microsoft.Extensions.Logging;

namespace Harbour.Foundation;

/// <summary>
/// Masks card numbers and credentials in whatever is logged, by whomever: it stands between every logger and the providers, so no
/// line has to remember. Exceptions are logged with their text masked as well.
/// </summary>
public sealed class RedactingLoggers(ILoggerFactory inner) : ILoggerFactory
{
    public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);
    public ILogger CreateLogger(string categoryName) => new Redacting(inner.CreateLogger(categoryName));
    public void Dispose() => inner.Dispose();

    private sealed class Redacting(ILogger inner) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => state is string text ? inner.BeginScope(CardData.Mask(text)) : inner.BeginScope(state);
        public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!inner.IsEnabled(logLevel)) return;
            var message = CardData.Mask(formatter(state, exception));
            if (exception is not null) message += Environment.NewLine + CardData.Mask(exception.ToString());
            inner.Log(logLevel, eventId, new Masked(message, state as IReadOnlyList<KeyValuePair<string, object?>>), null, static (masked, _) => masked.Message);
        }
    }

    private sealed class Masked(string message, IReadOnlyList<KeyValuePair<string, object?>>? values) : IReadOnlyList<KeyValuePair<string, object?>>
    {
        public string Message => message;
        public int Count => values?.Count ?? 0;
        public KeyValuePair<string, object?> this[int index] => values![index] is { Value: string text } pair ? KeyValuePair.Create<string, object?>(pair.Key, CardData.Mask(text)) : values[index];
        public IEnumerator<KeyValuePair<string, object?>> GetEnumerator()
        {
            for (var i = 0; i < Count; i++) yield return this[i];
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
        public override string ToString() => message;
    }
}
