using System.Diagnostics.CodeAnalysis;

namespace Microsoft.DurableTask;

/// <summary>The name of an orchestrator or activity. Case does not matter.</summary>
public readonly struct TaskName(string name) : IEquatable<TaskName>
{
    public string Name { get; } = name;

    [SuppressMessage("Usage", "CA2225", Justification = "The shape is the SDK's.")]
    public static implicit operator string(TaskName value) => value.Name;

    [SuppressMessage("Usage", "CA2225", Justification = "The shape is the SDK's.")]
    public static implicit operator TaskName(string value) => string.IsNullOrEmpty(value) ? default : new(value);

    public static bool operator ==(TaskName a, TaskName b) => a.Equals(b);

    public static bool operator !=(TaskName a, TaskName b) => !a.Equals(b);

    public bool Equals(TaskName other) => string.Equals(Name, other.Name, StringComparison.OrdinalIgnoreCase);

    public override bool Equals(object? obj) => obj is TaskName other && Equals(other);

    public override int GetHashCode() => StringComparer.OrdinalIgnoreCase.GetHashCode(Name ?? "");

    public override string ToString() => Name;
}

/// <summary>The orchestration that started this one and waits for it.</summary>
public record ParentOrchestrationInstance(TaskName Name, string InstanceId);
