using System.Reflection;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;

namespace Harbour.Sandbox.Runtime;

/// <summary>All functions of the host, found by their [Function] attribute. Two of one name, or one without a trigger, stop the start.</summary>
public sealed class FunctionCatalogue
{
    private readonly List<Function> _functions = [];

    public FunctionCatalogue(IEnumerable<Type> classes)
    {
        const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var method in classes.Where(t => t is { IsClass: true, IsGenericTypeDefinition: false }).SelectMany(t => t.GetMethods(Declared)))
        {
            if (method.GetCustomAttribute<FunctionAttribute>() is not { } function) continue;
            if (_functions.Any(f => f.Name == function.Name)) throw new InvalidOperationException($"There are two functions named {function.Name}.");
            var triggers = method.GetParameters().Where(p => p.IsDefined(typeof(TriggerBindingAttribute), inherit: true)).ToList();
            if (triggers.Count != 1) throw new InvalidOperationException($"Function {function.Name} needs exactly one trigger; it has {triggers.Count}.");
            _functions.Add(new Function(function.Name, method, triggers[0]));
        }

        // By name, so that what is due at one moment runs in the same order on every machine.
        _functions.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
    }

    public IEnumerable<(Function Function, TTrigger Trigger)> StartedBy<TTrigger>() where TTrigger : TriggerBindingAttribute =>
        _functions.Where(f => f.Trigger is TTrigger).Select(f => (f, (TTrigger)f.Trigger));
}
