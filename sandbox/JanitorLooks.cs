using Harbour.Foundation;
using Harbour.Operations;

namespace Harbour.Sandbox;

/// <summary>
/// Has the janitor's looks happen at their own time while the clock is advanced, instead of once for all at the next stop: the looks
/// at an outcome are minutes apart, and each says something else. The timeline asks several times at every stop, so what storage said
/// is remembered as long as this process has written nothing since; what another host wrote is found when an advance begins, and
/// while it goes on a fifth of a second later.
/// </summary>
internal sealed class JanitorLooks(Janitor janitor, Books books) : DueSource
{
    private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(200);

    private Answer? _last;

    public override string Name => "janitor";

    public override async ValueTask<DateTimeOffset?> NextDueAsync(CancellationToken cancellation)
    {
        // The count is taken before the read: what is written meanwhile makes the answer an old one.
        var (tries, at) = (books.Tries, TimeProvider.System.GetTimestamp());
        if (_last is { } last && last.Tries == tries && TimeProvider.System.GetElapsedTime(last.At, at) < Fresh) return last.Due;
        var due = await janitor.NextDueAsync(cancellation);
        _last = new Answer(tries, at, due);
        return due;
    }

    public override Task LookForNewsAsync(CancellationToken cancellation)
    {
        _last = null;
        return Task.CompletedTask;
    }

    public override async Task RunDueAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        await janitor.SweepAsync(advanceHeads: false);
        _last = null;
    }

    private sealed record Answer(long Tries, long At, DateTimeOffset? Due);
}
