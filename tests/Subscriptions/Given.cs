using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Subscriptions;

namespace Harbour.Tests.Subscriptions;

/// <summary>The objects that the rules' tests start from.</summary>
internal static class Given
{
    public static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);

    private static readonly Ids Ids = new(TimeProvider.System);

    public static SubscriptionRequest Request(DateTimeOffset? startAt = null, int trialDays = 0) => new(
        Ids.New<Customer>(), Ids.New<Mandate>(), new Money(12800, Currency.HKD), new Interval(IntervalUnit.Month, 1), startAt, trialDays, "plan-1", new Dictionary<string, string>());

    /// <summary>A monthly subscription whose first period began at <see cref="Now"/>.</summary>
    public static Subscription Subscription(SubscriptionStatus status = SubscriptionStatus.Active) =>
        Harbour.Subscriptions.Subscription.Create(Ids.New<Subscription>(), Mode.Test, Request(Now), "req_1", Now).Begin(Ids.New<Invoice>(), Now) with { Status = status, Version = 1 };

    public static Invoice Invoice() => RenewalOperations.Begin(
        Harbour.Subscriptions.Subscription.Create(Ids.New<Subscription>(), Mode.Test, Request(Now), "req_1", Now), Ids.New<Invoice>(), "req_1", Now).Invoice;

    public static Id<Charge> Charge() => Ids.New<Charge>();

    /// <summary>An invoice after so many attempts, each made when it was due, that were all declined.</summary>
    public static Invoice Failed(int times)
    {
        var invoice = Invoice();
        for (var i = 0; i < times; i++) invoice = invoice.Attempting(Charge(), invoice.NextAttemptAt!.Value).Failed("card_declined", "generic_decline", invoice.NextAttemptAt!.Value);
        return invoice;
    }
}
