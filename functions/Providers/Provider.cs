using Harbour.Foundation;

namespace Harbour.Providers;

/// <summary>
/// What a payment provider does for us. A connector speaks its provider's language inside its own folder and answers in these terms.
/// No call throws for what the provider or the network did: every way it can end is an outcome. Every call carries our own id as
/// the provider's idempotency key, so that it can be repeated, and ends within one deadline of 10 s of monotonic time.
/// </summary>
public interface IProvider
{
    /// <summary>The provider's name in the API: <c>stripe</c>.</summary>
    string Name { get; }

    Task<ProviderOutcome> CreateAsync(ProviderCharge charge, CancellationToken cancellation);
    Task<ProviderOutcome> CaptureAsync(ProviderCapture capture, CancellationToken cancellation);
    Task<ProviderOutcome> CancelAsync(ProviderCancel cancel, CancellationToken cancellation);
    Task<ProviderOutcome> RefundAsync(ProviderRefund refund, CancellationToken cancellation);

    /// <summary>
    /// Asks what became of a charge, by our id. <see cref="ProviderOutcome.Absent"/> means the provider knows nothing of it now;
    /// the original request may still be on its way.
    /// </summary>
    Task<ProviderOutcome> FindAsync(ProviderFind find, CancellationToken cancellation);

    /// <summary>Asks what became of a refund, by our id.</summary>
    Task<ProviderOutcome> FindRefundAsync(ProviderFindRefund find, CancellationToken cancellation);

    /// <summary>Makes the provider's customer, under which payment methods are stored: <see cref="ProviderOutcome.KnownCustomer"/>.</summary>
    Task<ProviderOutcome> CreateCustomerAsync(ProviderNewCustomer customer, CancellationToken cancellation);

    /// <summary>
    /// Stores a payment method for charges without the payer, and takes no money: <see cref="ProviderOutcome.KnownSetup"/>. Since it
    /// takes none, it may be asked for again when its answer was lost.
    /// </summary>
    Task<ProviderOutcome> SetUpAsync(ProviderSetup setup, CancellationToken cancellation);

    /// <summary>Asks how a setup that waits for the payer stands.</summary>
    Task<ProviderOutcome> FindSetupAsync(ProviderFindSetup find, CancellationToken cancellation);

    /// <summary>Forgets a stored payment method: <see cref="ProviderOutcome.Detached"/>, also when it was forgotten before.</summary>
    Task<ProviderOutcome> DetachAsync(ProviderDetach detach, CancellationToken cancellation);
}

/// <summary>Automatic leaves it to the provider's rules; always asks for a challenge; never asks for an exemption where there is a choice.</summary>
public enum ThreeDSecureRequest { Automatic, Always, Never }

/// <param name="Charge">Our id, and the provider's idempotency key.</param>
/// <param name="Token">The provider's token of the payment method; never a card number.</param>
/// <param name="CaptureNow">False leaves an authorisation to be captured later.</param>
/// <param name="ThreeDSecure">Whether the payer is to be authenticated whatever the provider thinks of the risk.</param>
/// <param name="ReturnUrl">Where the payer comes back to after an action, if the merchant named it.</param>
/// <param name="RequestId">Passed on as <c>X-Request-ID</c>.</param>
public sealed record ProviderCharge(
    string Charge, Mode Mode, Money Amount, string MethodType, string Token, bool CaptureNow, ThreeDSecureRequest ThreeDSecure,
    string Merchant, string? Description, string? ReturnUrl, string RequestId)
{
    /// <summary>The provider's customer for whom the payment method is stored, for later charges without the payer; null stores nothing.</summary>
    public string? StoreFor { get; init; }

    /// <summary>The stored payment method that is charged without the payer, in place of <see cref="Token"/>; null when the payer is there.</summary>
    public ProviderStored? Stored { get; init; }
}

/// <summary>A payment method that the provider keeps for charges without the payer.</summary>
/// <param name="Customer">The provider's customer that it belongs to.</param>
/// <param name="Method">The provider's token of it.</param>
public sealed record ProviderStored(string Customer, string Method);

/// <param name="Customer">Our id, and the provider's idempotency key. Nothing else is told: names and addresses stay here.</param>
public sealed record ProviderNewCustomer(string Customer, Mode Mode, string Merchant, string RequestId);

/// <param name="Mandate">Our id, and the provider's idempotency key.</param>
/// <param name="Customer">The provider's customer.</param>
/// <param name="Token">The provider's token of the payment method; never a card number.</param>
/// <param name="ReturnUrl">Where the payer comes back to after an action, if the merchant named it.</param>
public sealed record ProviderSetup(string Mandate, Mode Mode, string Customer, string MethodType, string Token, string Merchant, string? ReturnUrl, string RequestId);

public sealed record ProviderFindSetup(string Reference, Mode Mode, string RequestId);

/// <param name="Mandate">Our id.</param>
/// <param name="Method">The provider's token of the stored payment method.</param>
public sealed record ProviderDetach(string Mandate, Mode Mode, string Method, string RequestId);

/// <param name="Key">Our id of this capture: the provider's idempotency key.</param>
/// <param name="Final">True releases what is not captured.</param>
public sealed record ProviderCapture(string Key, Mode Mode, string Reference, Money Amount, bool Final, string RequestId);

public sealed record ProviderCancel(string Key, Mode Mode, string Reference, string RequestId);

/// <param name="Refund">Our id of the refund: the provider's idempotency key.</param>
public sealed record ProviderRefund(string Refund, Mode Mode, string Reference, Money Amount, string? Reason, string RequestId);

/// <param name="Reference">The provider's reference, when we have it already.</param>
/// <param name="SentAt">When the charge was sent, for providers that can only list by time.</param>
/// <param name="Until">Up to when it may have landed.</param>
public sealed record ProviderFind(string Charge, Mode Mode, string? Reference, DateTimeOffset SentAt, DateTimeOffset Until, string RequestId);

public sealed record ProviderFindRefund(string Refund, Mode Mode, string Reference, string RequestId);

/// <summary>How a call to a provider ended.</summary>
public abstract record ProviderOutcome
{
    private ProviderOutcome() { }

    /// <summary>The provider has the payment in this state: an explicit answer.</summary>
    public sealed record Known(ProviderPayment Payment) : ProviderOutcome;

    /// <summary>The provider has the refund in this state: an explicit answer.</summary>
    public sealed record KnownRefund(ProviderRefundState Refund) : ProviderOutcome;

    /// <summary>The provider has the customer under this id of its own.</summary>
    public sealed record KnownCustomer(string Reference) : ProviderOutcome;

    /// <summary>The provider has the setup of a stored payment method in this state: an explicit answer.</summary>
    public sealed record KnownSetup(ProviderSetupState Setup) : ProviderOutcome;

    /// <summary>The stored payment method is gone at the provider.</summary>
    public sealed record Detached : ProviderOutcome;

    /// <summary>The provider refused, explicitly and for good.</summary>
    /// <param name="Code">One of our refusal codes: <c>card_declined</c>, <c>insufficient_funds</c>, <c>expired_card</c>…</param>
    /// <param name="DeclineCode">The issuer's reason in the provider's words, if any.</param>
    /// <param name="Payment">The payment that the provider keeps of it, if any.</param>
    public sealed record Refused(string Code, string? DeclineCode, ProviderPayment? Payment) : ProviderOutcome;

    /// <summary>Provably nothing was attempted: connection refused, circuit open, or the provider's own "not now".</summary>
    public sealed record NotAttempted(string Reason) : ProviderOutcome;

    /// <summary>No one can tell: a time-out, a reset, a 5xx, an answer that makes no sense.</summary>
    public sealed record Unknown(string Reason) : ProviderOutcome;

    /// <summary>The provider knows nothing of it, as of now.</summary>
    public sealed record Absent : ProviderOutcome;
}

public enum ProviderStatus { RequiresAction, Processing, Authorized, Succeeded, Canceled, Failed }

/// <param name="Reference">The provider's own id of the payment: <c>pi_…</c>.</param>
/// <param name="Captured">Zero until something is captured.</param>
/// <param name="RedirectUrl">Where the payer must go, while <see cref="ProviderStatus.RequiresAction"/>.</param>
public sealed record ProviderPayment(
    string Reference, ProviderStatus Status, Money Amount, Money Captured, ProviderCard? Card, string? RedirectUrl,
    string? FailureCode, string? DeclineCode)
{
    /// <summary>The payment method, when the payment was to store it; it is good for use only once the payment is authorised.</summary>
    public ProviderStored? Stored { get; init; }
}

public enum ProviderSetupStatus { RequiresAction, Processing, Succeeded, Failed }

/// <param name="Reference">The provider's own id of the setup: <c>seti_…</c>.</param>
/// <param name="Stored">The stored payment method, once it succeeded.</param>
/// <param name="RedirectUrl">Where the payer must go, while <see cref="ProviderSetupStatus.RequiresAction"/>.</param>
public sealed record ProviderSetupState(
    string Reference, ProviderSetupStatus Status, ProviderStored? Stored, ProviderCard? Card, string? RedirectUrl, string? FailureCode, string? DeclineCode);

/// <param name="Brand">As in the API: <c>visa</c>, <c>mastercard</c>, <c>unionpay</c>…</param>
/// <param name="Fingerprint">The same for the same card number, and says nothing about it.</param>
public sealed record ProviderCard(string Brand, string Last4, string? Country, string? Fingerprint);

public enum ProviderRefundStatus { Pending, Succeeded, Failed }

public sealed record ProviderRefundState(string Reference, ProviderRefundStatus Status, Money Amount, string? FailureCode);
