using Azure.Data.Tables;
using Harbour.Providers.Stripe;
using Harbour.Sandbox;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Harbour.Benchmarks;

/// <summary>
/// How the host under measurement differs from the sandbox as it is run: it is watched, its log goes nowhere, and its timers are off.
/// What timers do is not part of a request, and on an emulator that looks through a whole table for every query they would be most
/// of what is measured.
/// </summary>
public static class Host
{
    public static SandboxOptions Watched(Wire wire) => new()
    {
        FunctionClasses = [.. new SandboxOptions().FunctionClasses.Where(type => !HasTimer(type))],
        Configure = builder =>
        {
            builder.Services.AddSingleton<Action<TableClientOptions>>(wire.Configure);
            builder.Services.AddSingleton<StripeWire>(wire.OnProvider);
            builder.Logging.ClearProviders();
            builder.Logging.AddProvider(new Nowhere());
        },
    };

    private static bool HasTimer(Type type) =>
        type.GetMethods().SelectMany(method => method.GetParameters()).Any(parameter => parameter.IsDefined(typeof(TimerTriggerAttribute), inherit: true));

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
