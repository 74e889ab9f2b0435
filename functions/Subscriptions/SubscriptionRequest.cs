using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;

namespace Harbour.Subscriptions;

/// <summary>What a caller asked for when making a subscription, after every field was looked at.</summary>
/// <param name="StartAt">When it starts, if not at once.</param>
/// <param name="TrialDays">Days from the start in which nothing is charged.</param>
public sealed record SubscriptionRequest(
    Id<Customer> Customer, Id<Mandate> Mandate, Money Amount, Interval Interval, DateTimeOffset? StartAt, int TrialDays, string? Reference,
    IReadOnlyDictionary<string, string> Metadata)
{
    private const int MaxTrialDays = 730;

    /// <summary>How far ahead a subscription may start.</summary>
    private static readonly TimeSpan LatestStart = TimeSpan.FromDays(1095);

    public static Result<SubscriptionRequest> Read(ReadOnlyMemory<byte> body)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;

        var customer = fields.Id<Customer>("customer", Errors.CustomerNotFound, required: true);
        var mandate = fields.Id<Mandate>("mandate", Errors.MandateNotFound, required: true);
        var currency = fields.Currency("currency", ChargeRequest.Currencies, required: true);
        var amount = fields.Amount("amount", required: true);
        if (amount is { } minor && currency is not null) ChargeRequest.RefuseOutside(fields, minor, currency);
        var interval = ReadInterval(fields);
        var startAt = fields.Time("start_at");
        var trialDays = fields.Whole("trial_days", 0, MaxTrialDays);
        var reference = fields.Text("reference", 128);
        var metadata = fields.Metadata();

        if (fields.Finish() is { } refusal) return refusal;
        return new SubscriptionRequest(customer!.Value, mandate!.Value, new Money(amount!.Value, currency!), interval!, startAt, trialDays ?? 0, reference, metadata);
    }

    /// <summary>The refusal of a start that is past or too far ahead. It is judged only where the subscription is made, since the same request may come again later.</summary>
    public Error? RefusalAt(DateTimeOffset now) =>
        StartAt < now || StartAt > now + LatestStart ? Errors.FieldInvalid.At("start_at", "a time from now on, at most three years ahead") : null;

    private static Interval? ReadInterval(Fields fields)
    {
        IntervalUnit? unit = fields.OneOf("interval", ["day", "week", "month", "year"], required: true) switch
        {
            "day" => IntervalUnit.Day,
            "week" => IntervalUnit.Week,
            "month" => IntervalUnit.Month,
            "year" => IntervalUnit.Year,
            _ => null,
        };
        var count = fields.Whole("interval_count", 1, Interval.MaxCount(unit ?? IntervalUnit.Day));
        return unit is { } known ? new Interval(known, count ?? 1) : null;
    }
}
