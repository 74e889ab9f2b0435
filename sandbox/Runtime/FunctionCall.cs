using System.Linq.Expressions;
using System.Reflection;
using Azure.Messaging.ServiceBus;
using Harbour.Sandbox.Bus;
using Harbour.Sandbox.Durable;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Sandbox.Runtime;

/// <summary>
/// Turns a function's method into one compiled delegate: make the class from the invocation's services, bind each parameter,
/// call, and await whatever comes back. Done once per function at start, so that a request pays for no reflection and a
/// parameter that nothing can fill stops the host with its name rather than failing the first call.
/// </summary>
internal static class FunctionCall
{
    public static Func<Invocation, ValueTask<object?>> Compile(string function, MethodInfo method)
    {
        var invocation = Expression.Parameter(typeof(Invocation), "invocation");
        var arguments = method.GetParameters().Select(p => Bind(function, p, invocation));
        var call = method.IsStatic
            ? Expression.Call(method, arguments)
            : Expression.Call(Instance(method.DeclaringType!, invocation), method, arguments);
        return Expression.Lambda<Func<Invocation, ValueTask<object?>>>(Await(call), invocation).Compile();
    }

    private static UnaryExpression Instance(Type type, ParameterExpression invocation)
    {
        var factory = Expression.Constant(ActivatorUtilities.CreateFactory(type, Type.EmptyTypes));
        var services = Expression.Property(invocation, nameof(FunctionContext.InstanceServices));
        return Expression.Convert(Expression.Invoke(factory, services, Expression.Constant(null, typeof(object[]))), type);
    }

    private static Expression Bind(string function, ParameterInfo parameter, ParameterExpression invocation)
    {
        var type = parameter.ParameterType;
        var trigger = Expression.Property(invocation, nameof(Invocation.TriggerValue));
        if (parameter.IsDefined(typeof(ActivityTriggerAttribute))) return Expression.Call(Expression.Convert(trigger, typeof(ActivityInput)), nameof(ActivityInput.Read), [type]);
        if (parameter.IsDefined(typeof(ServiceBusTriggerAttribute))) return BindMessage(function, type, invocation);
        if (type == typeof(ServiceBusMessageActions)) return Expression.Convert(trigger, type);
        if (parameter.IsDefined(typeof(TriggerBindingAttribute), inherit: true)) return Expression.Convert(trigger, type);
        if (parameter.IsDefined(typeof(DurableClientAttribute)) && type == typeof(DurableTaskClient)) return Service(type, invocation);
        if (type == typeof(FunctionContext)) return invocation;
        if (type == typeof(CancellationToken)) return Expression.Property(invocation, nameof(FunctionContext.CancellationToken));
        if (type == typeof(HttpRequest)) return Expression.Convert(trigger, type);
        if (type == typeof(string)) return Expression.Call(invocation, nameof(Invocation.RouteValue), null, Expression.Constant(parameter.Name));
        throw new InvalidOperationException($"Function {function}: nothing can fill its parameter '{parameter.Name}' of type {type.Name}.");
    }

    private static MethodCallExpression Service(Type type, ParameterExpression invocation) =>
        Expression.Call(typeof(ServiceProviderServiceExtensions), nameof(ServiceProviderServiceExtensions.GetRequiredService), [type], Expression.Property(invocation, nameof(FunctionContext.InstanceServices)));

    /// <summary>A message is given as it is, or as its body.</summary>
    private static MemberExpression BindMessage(string function, Type type, ParameterExpression invocation)
    {
        var delivery = Expression.Convert(Expression.Property(invocation, nameof(Invocation.TriggerValue)), typeof(Delivery));
        if (type == typeof(ServiceBusReceivedMessage)) return Expression.Property(delivery, nameof(Delivery.Message));
        if (type == typeof(string)) return Expression.Property(delivery, nameof(Delivery.Text));
        if (type == typeof(BinaryData)) return Expression.Property(delivery, nameof(Delivery.Body));
        throw new InvalidOperationException($"Function {function}: a message is bound to ServiceBusReceivedMessage, string or BinaryData, not to {type.Name}.");
    }

    private static Expression Await(MethodCallExpression call)
    {
        var type = call.Type;
        if (type == typeof(void)) return Expression.Block(call, Expression.Default(typeof(ValueTask<object?>)));
        if (type == typeof(Task) || type == typeof(ValueTask)) return Expression.Call(typeof(FunctionCall), nameof(Nothing), null, call);
        var generic = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        if (generic == typeof(Task<>) || generic == typeof(ValueTask<>))
            return Expression.Call(typeof(FunctionCall), nameof(Something), type.GetGenericArguments(), call);
        return Expression.New(typeof(ValueTask<object?>).GetConstructor([typeof(object)])!, Expression.Convert(call, typeof(object)));
    }

    private static async ValueTask<object?> Nothing(Task task)
    {
        await task;
        return null;
    }

    private static async ValueTask<object?> Nothing(ValueTask task)
    {
        await task;
        return null;
    }

    private static async ValueTask<object?> Something<T>(Task<T> task) => await task;

    private static async ValueTask<object?> Something<T>(ValueTask<T> task) => await task;
}
