using System.Diagnostics.CodeAnalysis;

namespace Microsoft.DurableTask
{
    /// <summary>
    /// Why an activity or orchestration failed. In Azure the type of an activity's exception may read "(unknown)", and here it
    /// always does: who has to decide on a failure lets the activity return a result.
    /// </summary>
    public record TaskFailureDetails(string ErrorType, string ErrorMessage, string? StackTrace, TaskFailureDetails? InnerFailure, IDictionary<string, object?>? Properties)
    {
        public override string ToString() => $"{ErrorType}: {ErrorMessage}";

        public bool IsCausedBy<T>() where T : Exception => IsCausedBy(typeof(T));

        public bool IsCausedBy(Type targetBaseExceptionType) =>
            AppDomain.CurrentDomain.GetAssemblies().Select(a => a.GetType(ErrorType, throwOnError: false)).FirstOrDefault(t => t is not null) is { } type
            && targetBaseExceptionType.IsAssignableFrom(type);

        public static TaskFailureDetails FromException(Exception exception)
        {
            var inner = exception is TaskFailedException failed ? failed.FailureDetails : exception.InnerException is { } e ? FromException(e) : null;
            return new(exception.GetType().ToString(), exception.Message, exception.StackTrace, inner, null);
        }
    }

    /// <summary>An activity or sub-orchestration that the orchestrator called has failed.</summary>
    [SuppressMessage("Design", "CA1032", Justification = "The shape is the SDK's.")]
    public sealed class TaskFailedException : Exception
    {
        public TaskFailedException(string taskName, int taskId, Exception innerException)
            : base(Describe(taskName, taskId, innerException.Message), innerException) =>
            (TaskName, TaskId, FailureDetails) = (taskName, taskId, TaskFailureDetails.FromException(innerException));

        public TaskFailedException(string taskName, int taskId, TaskFailureDetails failureDetails)
            : base(Describe(taskName, taskId, failureDetails.ErrorMessage)) =>
            (TaskName, TaskId, FailureDetails) = (taskName, taskId, failureDetails);

        public string TaskName { get; }

        public int TaskId { get; }

        public TaskFailureDetails FailureDetails { get; }

        private static string Describe(string taskName, int taskId, string message) =>
            $"Task '{taskName}' (#{taskId}) failed with an unhandled exception: {message}";
    }
}

namespace DurableTask.Core.Exceptions
{
    /// <summary>An orchestration of that id is there and has not ended.</summary>
    public class OrchestrationAlreadyExistsException : InvalidOperationException
    {
        public OrchestrationAlreadyExistsException()
        {
        }

        public OrchestrationAlreadyExistsException(string message) : base(message)
        {
        }

        public OrchestrationAlreadyExistsException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }
}
