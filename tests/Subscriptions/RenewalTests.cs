using Harbour.Subscriptions;

namespace Harbour.Tests.Subscriptions;

public sealed class RenewalTests
{
    private static readonly DateTimeOffset Now = Given.Now;

    private static Invoice UnderWay => Given.Invoice().Attempting(Given.Charge(), Now);
    private static Invoice Paid => UnderWay.Succeeded(Now);

    public static TheoryData<string, SubscriptionStatus, bool, Func<Invoice?>, double, string> Steps => new()
    {
        // why, status, ends with its period, latest invoice, days since the period began, step
        { "a fresh invoice is taken at once", SubscriptionStatus.Active, false, Given.Invoice, 0, "Take" },
        { "an attempt is settled before all else", SubscriptionStatus.Active, false, () => UnderWay, 40, "Settle" },
        { "also when it was paused meanwhile", SubscriptionStatus.Paused, false, () => UnderWay, 0, "Settle" },
        { "also when it was cancelled meanwhile", SubscriptionStatus.Canceled, false, () => UnderWay, 0, "Settle" },
        { "a paid period lasts to its end", SubscriptionStatus.Active, false, () => Paid, 29.9, "Wait" },
        { "then the next begins", SubscriptionStatus.Active, false, () => Paid, 30, "Begin" },
        { "or it ends there", SubscriptionStatus.Active, true, () => Paid, 30, "Cancel" },
        { "but not before", SubscriptionStatus.Active, true, () => Paid, 29.9, "Wait" },
        { "a retry waits for its time", SubscriptionStatus.PastDue, false, () => Given.Failed(1), 0.04, "Wait" },
        { "and comes then", SubscriptionStatus.PastDue, false, () => Given.Failed(1), 0.042, "Take" },
        { "retries go on beyond the period's end", SubscriptionStatus.PastDue, true, () => Given.Failed(3), 40, "Take" },
        { "unpaid waits for a change", SubscriptionStatus.Unpaid, false, () => Given.Failed(4), 400, "WaitForever" },
        { "unpaid ends with its period", SubscriptionStatus.Unpaid, true, () => Given.Failed(4), 30, "Cancel" },
        { "paused is not charged", SubscriptionStatus.Paused, false, () => Paid, 400, "WaitForever" },
        { "nor is its open invoice", SubscriptionStatus.Paused, false, () => Given.Failed(1), 400, "WaitForever" },
        { "paused ends with its period", SubscriptionStatus.Paused, true, () => Given.Failed(1), 30, "Cancel" },
        { "a trial waits for its end", SubscriptionStatus.Trialing, false, () => null, 29.9, "Wait" },
        { "and is charged then", SubscriptionStatus.Trialing, false, () => null, 30, "Begin" },
        { "cancelled is over", SubscriptionStatus.Canceled, false, () => Paid, 400, "Over" },
        { "and owes no more", SubscriptionStatus.Canceled, false, () => Given.Failed(1), 0, "Void" },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_next_step_follows_from_what_is_written(string why, SubscriptionStatus status, bool ends, Func<Invoice?> latest, double days, string expected)
    {
        Assert.NotEmpty(why);
        var subscription = Given.Subscription(status) with { CancelAtPeriodEnd = ends, PeriodEnd = Now.AddDays(30) };
        var step = Renewal.Next(subscription, latest(), Now.AddDays(days));
        Assert.Equal(expected, step is RenewalStep.Wait { Until: null } ? "WaitForever" : step.GetType().Name);
    }

    [Fact]
    public void Nothing_is_due_before_the_step_that_waits()
    {
        Assert.Equal(Now.AddHours(1), Renewal.DueAt(Given.Subscription(SubscriptionStatus.PastDue), Given.Failed(1), Now));
        Assert.Equal(Now.AddHours(1), Renewal.DueAt(Given.Subscription(SubscriptionStatus.PastDue), Given.Failed(1), Now.AddHours(5)));
        Assert.Null(Renewal.DueAt(Given.Subscription(SubscriptionStatus.Paused), Paid, Now));
    }
}
