using Microsoft.Azure.Functions.Worker.Extensions.Abstractions;

// The attributes that mark functions, with the names and shapes of the Functions worker, so that functions/ compiles
// unchanged against either. They only carry data; Runtime/FunctionCatalogue.cs reads them.

namespace Microsoft.Azure.Functions.Worker.Extensions.Abstractions
{
    /// <summary>What binds a function to the world.</summary>
    [AttributeUsage(AttributeTargets.Parameter | AttributeTargets.Property | AttributeTargets.Method)]
    public abstract class BindingAttribute : Attribute;

    /// <summary>What starts a function: it stands on the parameter that receives what started it.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public abstract class TriggerBindingAttribute : BindingAttribute;
}

namespace Microsoft.Azure.Functions.Worker
{
    /// <summary>Makes a method a function of that name.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class FunctionAttribute(string name) : Attribute
    {
        public string Name { get; } = name;
    }

    /// <summary>Who may call an HTTP function as far as the host is concerned. The sandbox has no host keys: only Anonymous is served.</summary>
    public enum AuthorizationLevel
    {
        Anonymous = 0,
        User = 1,
        Function = 2,
        System = 3,
        Admin = 4,
    }

    /// <summary>Starts a function by an HTTP request; without a route its name is the route, without methods it takes any.</summary>
    public sealed class HttpTriggerAttribute : TriggerBindingAttribute
    {
        public HttpTriggerAttribute() : this(AuthorizationLevel.Function)
        {
        }

        public HttpTriggerAttribute(params string[] methods) : this(AuthorizationLevel.Function, methods)
        {
        }

        public HttpTriggerAttribute(AuthorizationLevel authLevel) => AuthLevel = authLevel;

        public HttpTriggerAttribute(AuthorizationLevel authLevel, params string[] methods)
        {
            AuthLevel = authLevel;
            Methods = methods;
        }

        public string? Route { get; set; }

        public string[]? Methods { get; }

        public AuthorizationLevel AuthLevel { get; }
    }

    /// <summary>Starts a function by a schedule: a cron expression of six fields, seconds first, in UTC.</summary>
    public sealed class TimerTriggerAttribute(string schedule) : TriggerBindingAttribute
    {
        public string Schedule { get; } = schedule;

        /// <summary>Whether the schedule is kept across restarts, so that a missed run is noticed. It never is for schedules under a minute.</summary>
        public bool UseMonitor { get; set; } = true;

        public bool RunOnStartup { get; set; }
    }

    /// <summary>What a timer function is told about its schedule.</summary>
    public class TimerInfo
    {
        /// <summary>The status as it was before this run; null where the schedule is not monitored.</summary>
        public ScheduleStatus? ScheduleStatus { get; set; }

        /// <summary>True for one run after a start that found the schedule missed while the host was down.</summary>
        public bool IsPastDue { get; set; }
    }

    /// <summary>Where a monitored schedule stands. All times are UTC.</summary>
    public class ScheduleStatus
    {
        public DateTime Last { get; set; }

        public DateTime Next { get; set; }

        public DateTime LastUpdated { get; set; }
    }
}
