using System.Text.Json.Nodes;
using Harbour.Foundation;

namespace Harbour.Sandbox.Providers;

/// <summary>A PaymentIntent with its charge. Amounts as Stripe counts them; <see cref="Status"/> in Stripe's words.</summary>
internal sealed record StripePayment
{
    public required string Id { get; init; }
    public required Mode Mode { get; init; }

    /// <summary>Seconds since 1970, as Stripe counts time.</summary>
    public required long Created { get; init; }
    public required long Amount { get; init; }
    public required string Currency { get; init; }
    public required string Status { get; init; }
    public required bool Manual { get; init; }
    public required string Token { get; init; }
    public required Dictionary<string, string> Metadata { get; init; }
    public long Captured { get; init; }
    public long Refunded { get; init; }
    public string? Charge { get; init; }
    public string? Description { get; init; }
    public string? ReturnUrl { get; init; }

    /// <summary>Stripe's customer, where the payment method is stored or was.</summary>
    public string? Customer { get; init; }

    /// <summary>The stored payment method that is charged, or that this payment stores.</summary>
    public string? Method { get; init; }

    /// <summary>True when the payment stores its payment method for the customer, once it is authorised.</summary>
    public bool Stores { get; init; }
    public bool OffSession { get; init; }
    public bool Authenticated { get; init; }
    public string? ErrorCode { get; init; }
    public string? DeclineCode { get; init; }
    public long? CanceledAt { get; init; }
    public string? CancellationReason { get; init; }
}

internal sealed record StripeRefund
{
    public required string Id { get; init; }
    public required Mode Mode { get; init; }
    public required string Payment { get; init; }
    public required string Charge { get; init; }
    public required long Created { get; init; }
    public required long Amount { get; init; }
    public required string Currency { get; init; }
    public required Dictionary<string, string> Metadata { get; init; }
    public string? Reason { get; init; }
}

/// <summary>The answer that is kept for an idempotency key.</summary>
/// <param name="Fingerprint">Of the request: another one under the same key is refused.</param>
/// <param name="Status">HTTP status; 0 for a request that is never answered.</param>
internal sealed record StripeKept(Mode Mode, string Key, string Fingerprint, long At, int Status, JsonObject Body);

/// <summary>All that one request changed: one line of the journal, so it is there whole or not at all.</summary>
internal sealed record StripeChange(
    StripePayment? Payment, StripeRefund? Refund, StripeKept? Kept, StripeCustomer? Customer = null, StripeSetup? Setup = null, StripeMethod? Method = null);

/// <summary>
/// All that the simulated Stripe knows. Payments and refunds are immutable and replaced whole; they are listed in the order of their
/// making. Callers hold the simulator's lock.
/// </summary>
internal sealed class StripeBooks : IDisposable
{
    private const long KeptSeconds = 24 * 60 * 60;

    private readonly Dictionary<string, int> paymentIndex = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> refundIndex = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<string>> refundsByPayment = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> paymentByCharge = new(StringComparer.Ordinal);
    private readonly Dictionary<(Mode, string), StripeKept> kept = [];
    private readonly Dictionary<(Mode, string), int> offSessionFailures = [];
    private readonly Dictionary<(Mode, string), StripeCustomer> customers = [];
    private readonly Dictionary<(Mode, string), StripeSetup> setups = [];
    private readonly Dictionary<(Mode, string), StripeMethod> methods = [];
    private readonly List<StripePayment> payments = [];
    private readonly List<StripeRefund> refunds = [];
    private readonly Journal<StripeChange> journal;

    public StripeBooks(string? directory) => journal = Journal<StripeChange>.Open(directory, "stripe", Apply);

    /// <summary>All payments, oldest first, of both modes.</summary>
    public IReadOnlyList<StripePayment> Payments => payments;

    public StripePayment? Payment(Mode mode, string? id) =>
        id is not null && paymentIndex.TryGetValue(id, out var index) && payments[index].Mode == mode ? payments[index] : null;

    public StripePayment? PaymentOfCharge(Mode mode, string? charge) =>
        charge is not null && paymentByCharge.TryGetValue(charge, out var id) ? Payment(mode, id) : null;

    public StripeRefund? Refund(Mode mode, string id) =>
        refundIndex.TryGetValue(id, out var index) && refunds[index].Mode == mode ? refunds[index] : null;

    /// <summary>The payments of a mode, newest first, from the one after <paramref name="after"/> on.</summary>
    public IEnumerable<StripePayment> NewestPayments(Mode mode, string? after)
    {
        for (var i = (after is not null && paymentIndex.TryGetValue(after, out var index) ? index : payments.Count) - 1; i >= 0; i--)
            if (payments[i].Mode == mode) yield return payments[i];
    }

    /// <summary>The refunds of a mode, newest first, of one payment or of all.</summary>
    public IEnumerable<StripeRefund> NewestRefunds(Mode mode, string? payment)
    {
        var source = payment is null
            ? refunds
            : refundsByPayment.TryGetValue(payment, out var ids) ? ids.ConvertAll(id => refunds[refundIndex[id]]) : [];
        for (var i = source.Count - 1; i >= 0; i--)
            if (source[i].Mode == mode) yield return source[i];
    }

    /// <summary>What was answered under a key in the last 24 hours; Stripe forgets it after that.</summary>
    public StripeKept? Kept(Mode mode, string key, long now) =>
        kept.TryGetValue((mode, key), out var answer) && answer.At + KeptSeconds > now ? answer : null;

    public StripeCustomer? Customer(Mode mode, string id) => customers.GetValueOrDefault((mode, id));
    public StripeSetup? Setup(Mode mode, string id) => setups.GetValueOrDefault((mode, id));
    public StripeMethod? Method(Mode mode, string id) => methods.GetValueOrDefault((mode, id));

    /// <summary>How many charges without the payer were declined on the payment method of this payment.</summary>
    public int OffSessionFailures(StripePayment payment) => offSessionFailures.GetValueOrDefault(CountedAs(payment));

    /// <summary>Writes a change down, and only then lets it be seen.</summary>
    public void Commit(StripeChange change)
    {
        journal.Append(change);
        Apply(change);
    }

    public void Dispose() => journal.Dispose();

    private void Apply(StripeChange change)
    {
        if (change.Payment is { } payment) Put(payment);
        if (change.Refund is { } refund)
        {
            refundIndex[refund.Id] = refunds.Count;
            refunds.Add(refund);
            if (!refundsByPayment.TryGetValue(refund.Payment, out var ids)) refundsByPayment[refund.Payment] = ids = [];
            ids.Add(refund.Id);
        }

        if (change.Customer is { } customer) customers[(customer.Mode, customer.Id)] = customer;
        if (change.Setup is { } setup)
        {
            setups[(setup.Mode, setup.Id)] = setup;
            if (setup.Status == "succeeded") Attach(new StripeMethod(setup.Method, setup.Mode, setup.Token, setup.Customer));
        }

        if (change.Method is { } method) methods[(method.Mode, method.Id)] = method;
        if (change.Kept is { } answer) kept[(answer.Mode, answer.Key)] = answer;
    }

    private void Put(StripePayment payment)
    {
        if (payment is { Stores: true, Method: { } stored, Status: "succeeded" or "requires_capture" })
            Attach(new StripeMethod(stored, payment.Mode, payment.Token, payment.Customer));
        if (payment.Charge is not null) paymentByCharge[payment.Charge] = payment.Id;
        if (paymentIndex.TryGetValue(payment.Id, out var index))
        {
            payments[index] = payment;
            return;
        }

        paymentIndex[payment.Id] = payments.Count;
        payments.Add(payment);
        if (!payment.OffSession || payment.ErrorCode is null) return;
        offSessionFailures[CountedAs(payment)] = OffSessionFailures(payment) + 1;
    }

    /// <summary>What stores it makes it known once: it stays detached when the payment changes afterwards.</summary>
    private void Attach(StripeMethod method) => methods.TryAdd((method.Mode, method.Id), method);

    /// <summary>A stored payment method counts for itself; a token that was never stored, for each merchant.</summary>
    private static (Mode, string) CountedAs(StripePayment payment) =>
        (payment.Mode, payment.Method ?? $"{payment.Token} {payment.Metadata.GetValueOrDefault("harbour_merchant", "")}");
}
