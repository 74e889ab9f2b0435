using System.Text.Json;
using DurableTask.Core;
using Microsoft.DurableTask;
using Microsoft.Extensions.Options;

namespace Harbour.Sandbox.Durable;

/// <summary>
/// Inputs, outputs and events as JSON, with the application's own serializer options, as the worker does it. In Azure a large
/// payload goes to a blob and makes every step slower; here it is refused, so that it is found early.
/// </summary>
internal sealed class Payloads(IOptions<JsonSerializerOptions> options) : DataConverter
{
    /// <summary>In characters of JSON.</summary>
    public const int Limit = 128 * 1024;

    private const int LongestTrace = 2_000;

    private readonly JsonSerializerOptions _options = new(options.Value) { PropertyNameCaseInsensitive = true };

    /// <exception cref="ArgumentException">It is too large.</exception>
    public override string? Serialize(object? value)
    {
        if (value is null) return null;
        var json = JsonSerializer.Serialize(value, value.GetType(), _options);
        return json.Length <= Limit
            ? json
            : throw new ArgumentException($"A payload of {json.Length} characters of JSON is more than an orchestration carries ({Limit}): keep it in storage and pass its id.");
    }

    public override object? Deserialize(string? data, Type targetType) => data is null ? null : JsonSerializer.Deserialize(data, targetType, _options);

    /// <summary>The failure as it is kept, with the type's name for what the orchestrator itself threw.</summary>
    public static FailureDetails Describe(Exception e) =>
        new(e.GetType().ToString(), Cut(e.Message), Cut(e.StackTrace), e is TaskFailedException failed ? ToCore(failed.FailureDetails) : e.InnerException is { } inner ? Describe(inner) : null, false);

    /// <summary>As the host reports what an activity threw: the message, and no type to decide on.</summary>
    public static FailureDetails DescribeActivity(Exception e) => new("(unknown)", Cut(e.Message), Cut(e.StackTrace), null, false);

    public static TaskFailureDetails ToSdk(FailureDetails? failure) => failure is null
        ? new("(unknown)", "(unknown)", null, null, null)
        : new(failure.ErrorType, failure.ErrorMessage, failure.StackTrace, failure.InnerFailure is { } inner ? ToSdk(inner) : null, null);

    private static FailureDetails ToCore(TaskFailureDetails failure) =>
        new(failure.ErrorType, failure.ErrorMessage, failure.StackTrace, failure.InnerFailure is { } inner ? ToCore(inner) : null, false);

    [return: System.Diagnostics.CodeAnalysis.NotNullIfNotNull(nameof(text))]
    private static string? Cut(string? text) => text is { Length: > LongestTrace } ? text[..LongestTrace] : text;
}
