using Harbour.Foundation;

namespace Harbour.Tests.Foundation;

public sealed class ClaimTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);

    public static TheoryData<string, Claim, string, Admission> Rows => new()
    {
        { "running, same request", Running, "a", Admission.InUse },
        { "running, other request", Running, "b", Admission.Reused },
        { "lease over", Running with { LeaseUntil = Now }, "a", Admission.Resume },
        { "lease over, other request", Running with { LeaseUntil = Now }, "b", Admission.Reused },
        { "answered", Running with { Status = 201, Body = "{}" }, "a", Admission.Replay },
        { "answered, other request", Running with { Status = 201, Body = "{}" }, "b", Admission.Reused },
        { "released", Running.Release(Now), "a", Admission.Fresh },
        { "released, other request", Running.Release(Now), "b", Admission.Fresh },
    };

    private static Claim Running => new("a", "ch_x", Now.AddSeconds(45), Now, "req_1", Language.English);

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_key_that_is_known_decides_what_the_call_does(string name, Claim claim, string request, Admission expected)
    {
        Assert.NotEmpty(name);
        Assert.Equal(expected, claim.Admit(request, Now));
    }

    [Fact]
    public void A_released_key_keeps_its_object() => Assert.Equal("ch_x", Running.Release(Now).Object);

    [Fact]
    public void The_looks_come_after_1_5_15_and_60_minutes_and_then_every_six_hours()
    {
        var work = OpenWork.Begin("charge", "ch_x", "ch_x", "idem|x", Now);
        var looks = new List<double>();
        for (var i = 0; i < 7; i++)
        {
            looks.Add((work.Due - Now).TotalMinutes);
            work = work.Looked(work.Due);
        }

        Assert.Equal([1, 5, 15, 60, 420, 780, 1140], looks);
    }

    [Theory]
    [InlineData(14.99, false)]
    [InlineData(15, true)]
    public void Absence_is_final_from_the_fifteenth_minute(double minutes, bool final) =>
        Assert.Equal(final, OpenWork.Begin("charge", "ch_x", "ch_x", "idem|x", Now).AbsenceIsFinal(Now.AddMinutes(minutes)));

    [Fact]
    public void A_look_that_came_late_is_followed_by_one_that_lies_ahead()
    {
        var late = OpenWork.Begin("charge", "ch_x", "ch_x", "idem|x", Now).Looked(Now.AddHours(3));
        Assert.True(late.Due > Now.AddHours(3));
    }
}
