using Azure.Data.Tables;
using Harbour.Providers.Stripe;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Benchmarks;

/// <summary>How the host under measurement differs from the sandbox as it is run: it is watched, and its log goes nowhere.</summary>
public static class Host
{
    /// <summary>Puts the watch on the calls to storage and to the provider, and takes the terminal away from the log.</summary>
    public static void Watch(this FunctionsApplicationBuilder builder, Wire wire)
    {
        builder.Services.AddSingleton<Action<TableClientOptions>>(wire.Configure);
        builder.Services.AddSingleton<StripeWire>(wire.OnProvider);
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(new Nowhere());
    }

    /// <summary>
    /// Harbour logs as much as ever, and its lines are put together and redacted; they are only not written to a terminal, whose
    /// speed is no property of Harbour.
    /// </summary>
    private sealed class Nowhere : ILoggerProvider, ILogger
    {
        private static int written;

        public ILogger CreateLogger(string categoryName) => this;
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning) Console.WriteLine(formatter(state, exception));
            else written = unchecked(written + formatter(state, exception).Length);
        }

        public void Dispose()
        {
        }
    }
}
