using Harbour.Foundation;

namespace Harbour.Subscriptions;

/// <summary>What is to be done next for a subscription.</summary>
public abstract record RenewalStep
{
    private RenewalStep() { }

    /// <summary>Nothing, ever.</summary>
    public sealed record Over : RenewalStep;

    /// <summary>Nothing before this moment; null where only a change from outside leads on.</summary>
    public sealed record Wait(DateTimeOffset? Until) : RenewalStep;

    /// <summary>Begin the next period and open its invoice.</summary>
    public sealed record Begin : RenewalStep;

    /// <summary>Try to take the open invoice's amount.</summary>
    public sealed record Take : RenewalStep;

    /// <summary>Find out what became of an attempt. Nothing else is done before that is known.</summary>
    public sealed record Settle(Attempt Attempt) : RenewalStep;

    /// <summary>End the subscription, which was to end with its period.</summary>
    public sealed record Cancel : RenewalStep;

    /// <summary>Give up the open invoice of a cancelled subscription.</summary>
    public sealed record Void : RenewalStep;
}

/// <summary>
/// The order in which a subscription goes on. It looks at nothing but the subscription, its latest invoice and the time, so asking again
/// after a crash gives the step that is missing.
/// </summary>
public static class Renewal
{
    public static RenewalStep Next(Subscription subscription, Invoice? latest, DateTimeOffset now)
    {
        var open = latest is { Status: InvoiceStatus.Open };
        var charging = subscription.Status is SubscriptionStatus.Trialing or SubscriptionStatus.Active or SubscriptionStatus.PastDue;

        if (latest?.UnderWay is { } attempt) return new RenewalStep.Settle(attempt);
        if (subscription.Status is SubscriptionStatus.Canceled) return open ? new RenewalStep.Void() : new RenewalStep.Over();
        if (charging && open) return now >= latest!.NextAttemptAt ? new RenewalStep.Take() : new RenewalStep.Wait(latest.NextAttemptAt);
        if (subscription.CancelAtPeriodEnd) return now >= subscription.PeriodEnd ? new RenewalStep.Cancel() : new RenewalStep.Wait(subscription.PeriodEnd);
        if (!charging) return new RenewalStep.Wait(null);
        return now >= subscription.PeriodEnd ? new RenewalStep.Begin() : new RenewalStep.Wait(subscription.PeriodEnd);
    }

    /// <summary>Since when, or from when on, the next step is due; null where only a change from outside leads on.</summary>
    public static DateTimeOffset? DueAt(Subscription subscription, Invoice? latest, DateTimeOffset now) => Next(subscription, latest, now) switch
    {
        RenewalStep.Wait wait => wait.Until,
        RenewalStep.Settle settle => settle.Attempt.At,
        RenewalStep.Take => latest!.NextAttemptAt,
        RenewalStep.Begin or RenewalStep.Cancel => subscription.PeriodEnd,
        RenewalStep.Void => subscription.CanceledAt,
        _ => null,
    };
}
