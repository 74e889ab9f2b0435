namespace Harbour.Sandbox.Runtime;

/// <summary>
/// Lets a second host (SANDBOX_ROLE=http) live by the first one's clock: it reads the shared position before each of its
/// invocations. Honest and simple, with one limit: the first host's advance waits for its own invocations only, so one that
/// is under way in the second host during an advance goes on by the time it began with.
/// </summary>
public sealed class ClockFollower
{
    private readonly Func<CancellationToken, Task>? _catchUp;

    internal ClockFollower(Func<CancellationToken, Task>? catchUp) => _catchUp = catchUp;

    internal Task CatchUpAsync(CancellationToken cancellation) => _catchUp?.Invoke(cancellation) ?? Task.CompletedTask;
}
