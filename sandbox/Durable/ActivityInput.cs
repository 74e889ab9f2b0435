namespace Harbour.Sandbox.Durable;

/// <summary>What starts an activity: its input as the orchestrator gave it, read as whatever the function takes.</summary>
internal sealed class ActivityInput(string? json, Payloads payloads)
{
    public T? Read<T>() => payloads.Deserialize<T>(json);
}
