using System.Collections.Immutable;
using System.Reflection;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;

namespace Harbour.Sandbox.Runtime;

/// <summary>One function that was found: what starts it and how it is called.</summary>
public sealed class Function : FunctionDefinition
{
    private readonly Func<Invocation, ValueTask<object?>> _call;

    internal Function(string name, MethodInfo method, ParameterInfo trigger)
    {
        Name = name;
        Trigger = trigger.GetCustomAttribute<TriggerBindingAttribute>()!;
        EntryPoint = $"{method.DeclaringType!.FullName}.{method.Name}";
        PathToAssembly = method.DeclaringType.Assembly.Location;
        Parameters = [.. method.GetParameters().Select(p => new FunctionParameter(p.Name!, p.ParameterType))];
        InputBindings = ImmutableDictionary<string, BindingMetadata>.Empty.Add(trigger.Name!, new TriggerMetadata(trigger.Name!, Trigger));
        _call = FunctionCall.Compile(name, method);
    }

    public TriggerBindingAttribute Trigger { get; }

    public override string Name { get; }

    public override string Id => Name;

    public override string EntryPoint { get; }

    public override string PathToAssembly { get; }

    public override ImmutableArray<FunctionParameter> Parameters { get; }

    public override IImmutableDictionary<string, BindingMetadata> InputBindings { get; }

    internal ValueTask<object?> CallAsync(Invocation invocation) => _call(invocation);

    private sealed class TriggerMetadata(string name, TriggerBindingAttribute trigger) : BindingMetadata
    {
        public override string Name { get; } = name;

        /// <summary>As the worker's generator writes it: HttpTriggerAttribute becomes httpTrigger.</summary>
        public override string Type { get; } = ToBindingType(trigger.GetType().Name);

        public override BindingDirection Direction => BindingDirection.In;

        private static string ToBindingType(string attribute) => char.ToLowerInvariant(attribute[0]) + attribute[1..^nameof(Attribute).Length];
    }
}
