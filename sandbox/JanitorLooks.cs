using Harbour.Operations;

namespace Harbour.Sandbox;

/// <summary>
/// Has the janitor's looks happen at their own time while the clock is advanced, instead of once for all at the next stop: the looks
/// at an outcome are minutes apart, and each says something else.
/// </summary>
internal sealed class JanitorLooks(Janitor janitor) : DueSource
{
    public override string Name => "janitor";

    public override async ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation) => await janitor.NextDueAsync(cancellation);

    public override Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation) => janitor.SweepAsync(advanceHeads: false);
}
