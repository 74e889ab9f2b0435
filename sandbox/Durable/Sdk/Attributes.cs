using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;

// What marks durable functions, with the names and shapes of the worker's durable extension.

namespace Microsoft.Azure.Functions.Worker.Extensions.Abstractions
{
    /// <summary>What a function is given besides what started it.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public abstract class InputBindingAttribute : BindingAttribute;
}

namespace Microsoft.Azure.Functions.Worker
{
    /// <summary>Marks an orchestrator by its context: a function that decides, is replayed, and awaits nothing but that context.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public sealed class OrchestrationTriggerAttribute : TriggerBindingAttribute
    {
        /// <summary>The orchestrator's name; the function's own where it is not set.</summary>
        public string? Orchestration { get; set; }
    }

    /// <summary>Marks an activity by its input: a function that acts, at least once.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public sealed class ActivityTriggerAttribute : TriggerBindingAttribute
    {
        /// <summary>The activity's name; the function's own where it is not set.</summary>
        public string? Activity { get; set; }
    }

    /// <summary>Asks for the <see cref="Microsoft.DurableTask.Client.DurableTaskClient"/>.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public sealed class DurableClientAttribute : InputBindingAttribute
    {
        public string? TaskHub { get; set; }

        public string? ConnectionName { get; set; }
    }
}
