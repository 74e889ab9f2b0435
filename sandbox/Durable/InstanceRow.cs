using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using DurableTask.Core;
using Microsoft.DurableTask.Client;

namespace Harbour.Sandbox.Durable;

/// <summary>Who started a sub-orchestration: the call in that execution to which its end is reported.</summary>
internal sealed record ParentCall(string Name, string InstanceId, string Execution, int TaskId);

/// <summary>What is known of an instance as a whole: the row whose ETag every step has to hold.</summary>
internal sealed record InstanceRow(string InstanceId, string Name, string Execution, DateTimeOffset CreatedAt)
{
    public const string RowKey = "instance";

    public OrchestrationRuntimeStatus Status { get; init; } = OrchestrationRuntimeStatus.Pending;

    public DateTimeOffset UpdatedAt { get; init; }

    public DateTimeOffset? StartAt { get; init; }

    public ParentCall? Parent { get; init; }

    /// <summary>How many steps of this execution have been written.</summary>
    public int Steps { get; init; }

    public string? Input { get; init; }

    public string? Output { get; init; }

    public string? CustomStatus { get; init; }

    public FailureDetails? Failure { get; init; }

    public ETag ETag { get; init; }

    public bool IsCompleted => Status is OrchestrationRuntimeStatus.Completed or OrchestrationRuntimeStatus.Failed or OrchestrationRuntimeStatus.Terminated;

    public TableEntity ToEntity()
    {
        var entity = new TableEntity(Keys.Partition(InstanceId), RowKey)
        {
            ["InstanceId"] = InstanceId,
            ["Name"] = Name,
            ["Execution"] = Execution,
            ["Status"] = Status.ToString(),
            ["CreatedAt"] = CreatedAt,
            ["UpdatedAt"] = UpdatedAt,
            ["StartAt"] = StartAt,
            ["Steps"] = Steps,
            // What the engine has to look after, so that a start finds it without reading all that has ended.
            ["Open"] = !IsCompleted,
        };
        Columns.Write(entity, "Input", Input);
        Columns.Write(entity, "Output", Output);
        Columns.Write(entity, "CustomStatus", CustomStatus);
        Columns.Write(entity, "Parent", Parent is null ? null : JsonSerializer.Serialize(Parent, HistoryJson.Options));
        Columns.Write(entity, "Failure", Failure is null ? null : JsonSerializer.Serialize(Failure, HistoryJson.Options));
        return entity;
    }

    public static InstanceRow From(TableEntity entity) =>
        new(entity.GetString("InstanceId"), entity.GetString("Name"), entity.GetString("Execution"), entity.GetDateTimeOffset("CreatedAt")!.Value)
        {
            Status = Enum.Parse<OrchestrationRuntimeStatus>(entity.GetString("Status")),
            UpdatedAt = entity.GetDateTimeOffset("UpdatedAt")!.Value,
            StartAt = entity.GetDateTimeOffset("StartAt"),
            Steps = entity.GetInt32("Steps")!.Value,
            Input = Columns.Read(entity, "Input"),
            Output = Columns.Read(entity, "Output"),
            CustomStatus = Columns.Read(entity, "CustomStatus"),
            Parent = Columns.Read(entity, "Parent") is { } parent ? JsonSerializer.Deserialize<ParentCall>(parent, HistoryJson.Options) : null,
            Failure = Columns.Read(entity, "Failure") is { } failure ? JsonSerializer.Deserialize<FailureDetails>(failure, HistoryJson.Options) : null,
            ETag = entity.ETag,
        };
}
