using System.Collections.Immutable;

namespace Harbour.Access;

/// <summary>What a credential may be allowed to do. The one list of scopes; routes, credentials and tokens are checked against it.</summary>
public static class Scopes
{
    public static readonly ImmutableArray<string> All =
    [
        "charges:read", "charges:write", "refunds:write", "customers:read", "customers:write", "subscriptions:read", "subscriptions:write",
        "splits:read", "splits:write", "transfers:read", "transfers:write", "wallets:read", "wallets:write", "reports:read",
        "webhooks:read", "webhooks:write", "fx:read", "account:read", "account:write",
    ];

    /// <summary>As in the parameter <c>scope</c> of OAuth (RFC 6749, section 3.3): separated by single spaces.</summary>
    public static string Join(ImmutableArray<string> scopes) => string.Join(' ', scopes);

    /// <summary>Reads a <c>scope</c> parameter; what is not a scope of ours stays in, to be refused by who asked.</summary>
    public static ImmutableArray<string> Split(string text) =>
        [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Distinct(StringComparer.Ordinal)];

    /// <summary>The scopes that both have, in the order of the first.</summary>
    public static ImmutableArray<string> Both(ImmutableArray<string> first, ImmutableArray<string> second) =>
        [.. first.Where(second.Contains)];
}
