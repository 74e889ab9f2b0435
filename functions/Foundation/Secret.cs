namespace Harbour.Foundation;

/// <summary>A value that must not be printed: in a log, a message or a debugger it reads <c>***</c>.</summary>
public sealed class Secret(string value)
{
    /// <summary>The value itself, for the one place that uses it.</summary>
    public string Reveal() => value;

    public override string ToString() => "***";
}
