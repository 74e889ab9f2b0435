using System.Collections;
using System.Collections.Immutable;
using Microsoft.AspNetCore.Http;

// What a function or a middleware sees of an invocation, with the names and shapes of the Functions worker.

namespace Microsoft.Azure.Functions.Worker
{
    /// <summary>One invocation of a function.</summary>
    public abstract class FunctionContext
    {
        public abstract string InvocationId { get; }

        public abstract string FunctionId { get; }

        public abstract BindingContext BindingContext { get; }

        /// <summary>The invocation's own scope of services.</summary>
        public abstract IServiceProvider InstanceServices { get; set; }

        public abstract FunctionDefinition FunctionDefinition { get; }

        public abstract IDictionary<object, object> Items { get; set; }

        public abstract IInvocationFeatures Features { get; }

        /// <summary>Cancelled when the client of an HTTP function goes away, or when the host stops.</summary>
        public virtual CancellationToken CancellationToken { get; }
    }

    /// <summary>A function as it was found: its name, its parameters and what starts it.</summary>
    public abstract class FunctionDefinition
    {
        public abstract ImmutableArray<FunctionParameter> Parameters { get; }

        public abstract string PathToAssembly { get; }

        public abstract string EntryPoint { get; }

        public abstract string Id { get; }

        public abstract string Name { get; }

        /// <summary>By parameter name. The trigger's type reads httpTrigger or timerTrigger.</summary>
        public abstract IImmutableDictionary<string, BindingMetadata> InputBindings { get; }
    }

    public class FunctionParameter(string name, Type type)
    {
        public string Name { get; } = name;

        public Type Type { get; } = type;
    }

    public enum BindingDirection
    {
        In = 0,
        Out = 1,
    }

    public abstract class BindingMetadata
    {
        public abstract string Name { get; }

        public abstract string Type { get; }

        public abstract BindingDirection Direction { get; }
    }

    public abstract class BindingContext
    {
        /// <summary>The route values of an HTTP invocation.</summary>
        public abstract IReadOnlyDictionary<string, object?> BindingData { get; }
    }

    public interface IInvocationFeatures : IEnumerable<KeyValuePair<Type, object>>
    {
        void Set<T>(T? instance);

        T? Get<T>();
    }

    public abstract class InvocationResult<T>
    {
        public abstract T? Value { get; set; }
    }

    /// <summary>What the function returned; a middleware may replace it, since it is turned into a response only after all of them.</summary>
    public abstract class InvocationResult : InvocationResult<object>;

    public static class FunctionContextBindingFeatureExtensions
    {
        public static InvocationResult GetInvocationResult(this FunctionContext context) =>
            context.Features.Get<InvocationResult>() ?? throw new InvalidOperationException("This invocation has no result to hold.");
    }

    public static class FunctionContextExtensions
    {
        internal const string HttpContextKey = "HttpRequestContext";

        /// <summary>The HTTP exchange that the invocation serves; null where something else started it.</summary>
        public static HttpContext? GetHttpContext(this FunctionContext context) =>
            context.Items.TryGetValue(HttpContextKey, out var value) ? value as HttpContext : null;
    }
}

namespace Microsoft.Azure.Functions.Worker.Middleware
{
#pragma warning disable CA1711 // The worker's own name.
    public delegate Task FunctionExecutionDelegate(FunctionContext context);
#pragma warning restore CA1711

    /// <summary>Wraps every invocation. A middleware that answers by itself does not call <c>next</c>.</summary>
    public interface IFunctionsWorkerMiddleware
    {
        Task Invoke(FunctionContext context, FunctionExecutionDelegate next);
    }
}

namespace Harbour.Sandbox.Runtime
{
    /// <summary>The features of one invocation: a small typed bag.</summary>
    internal sealed class InvocationFeatures : Microsoft.Azure.Functions.Worker.IInvocationFeatures
    {
        private readonly Dictionary<Type, object> _features = [];

        public void Set<T>(T? instance)
        {
            ArgumentNullException.ThrowIfNull(instance);
            _features[typeof(T)] = instance;
        }

        public T? Get<T>() => _features.TryGetValue(typeof(T), out var feature) ? (T)feature : default;

        public IEnumerator<KeyValuePair<Type, object>> GetEnumerator() => _features.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
