namespace Harbour.Sandbox;

/// <summary>The sandbox can't start for a reason that its user can do something about; the message says what, in one line.</summary>
public sealed class SandboxException(string message) : Exception(message);
