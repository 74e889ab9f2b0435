using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Sandbox.Runtime;

/// <summary>One invocation of a function, from whatever started it to what it returned.</summary>
public sealed class Invocation(Function function, object triggerValue, IServiceProvider services, CancellationToken cancellation) : FunctionContext
{
    private readonly HeldResult _result = new();
    private InvocationFeatures? _features;
    private string? _id;

    public Function Function { get; } = function;

    /// <summary>What the trigger's parameter receives: the HTTP request, the timer's info, the message under way.</summary>
    public object TriggerValue { get; } = triggerValue;

    /// <summary>What the function returned, or what a middleware put in its place.</summary>
    public object? Result => _result.Value;

    /// <summary>Made when first asked for: most invocations never are.</summary>
    public override string InvocationId => _id ??= Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString();

    public override string FunctionId => Function.Id;

    public override FunctionDefinition FunctionDefinition => Function;

    public override BindingContext BindingContext => new RouteBinding(TriggerValue as HttpRequest);

    public override IServiceProvider InstanceServices { get; set; } = services;

    public override IDictionary<object, object> Items { get; set; } = new Dictionary<object, object>();

    public override IInvocationFeatures Features
    {
        get
        {
            if (_features is null)
            {
                _features = new InvocationFeatures();
                _features.Set<InvocationResult>(_result);
            }

            return _features;
        }
    }

    public override CancellationToken CancellationToken { get; } = cancellation;

    public string? RouteValue(string name) =>
        TriggerValue is HttpRequest request ? Convert.ToString(request.RouteValues[name], CultureInfo.InvariantCulture) is { Length: > 0 } value ? value : null : null;

    /// <summary>The innermost step of the pipeline: the function itself.</summary>
    internal static async Task ExecuteAsync(FunctionContext context)
    {
        var invocation = (Invocation)context;
        invocation._result.Value = await invocation.Function.CallAsync(invocation);
    }

    private sealed class HeldResult : InvocationResult
    {
        public override object? Value { get; set; }
    }

    private sealed class RouteBinding(HttpRequest? request) : BindingContext
    {
        public override IReadOnlyDictionary<string, object?> BindingData => request?.RouteValues ?? [];
    }
}
