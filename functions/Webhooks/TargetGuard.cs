using System.Net;
using System.Net.Sockets;
using System.Text;
using Harbour.Foundation;
using Microsoft.Extensions.Configuration;

namespace Harbour.Webhooks;

/// <summary>How far an address reaches.</summary>
public enum Reach
{
    /// <summary>Anyone on the internet.</summary>
    Public,

    /// <summary>This machine or its network: loopback and private addresses.</summary>
    Local,

    /// <summary>Nothing that a webhook could mean: link-local with the platform's metadata, multicast, reserved and documentation ranges.</summary>
    None,
}

/// <summary>
/// Where a webhook may be sent, so that an endpoint's URL can't be used to reach what only our workers can (SSRF). In live mode: https on
/// port 443 or 8443, to a public address. In test mode also http and any port, and where <c>Webhooks:AllowLocalTargets</c> is set (on a
/// developer's machine, never in Azure) to this machine and its network. The URL is judged when it is registered; every address that its
/// host has is judged at every connection, since names can be pointed anywhere later.
/// </summary>
public sealed class TargetGuard(IConfiguration configuration)
{
    private static readonly IPNetwork[] LocalNetworks = [.. Networks("10.0.0.0/8 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 ::1/128 fc00::/7")];

    /// <summary>The registries of special-purpose addresses (IANA, RFC 6890), and the virtual address of Azure's own services.</summary>
    private static readonly IPNetwork[] UnreachableNetworks = [.. Networks("""
        0.0.0.0/8 100.64.0.0/10 168.63.129.16/32 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24
        203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20
        """)];

    /// <summary>Global unicast: outside of it nothing of IPv6 is public.</summary>
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    /// <summary>IPv6 that carries an IPv4 address, and where in it: 6to4, NAT64 (RFC 6052, RFC 8215), IPv4-compatible.</summary>
    private static readonly (IPNetwork Network, int Offset)[] Carriers =
        [(IPNetwork.Parse("2002::/16"), 2), (IPNetwork.Parse("64:ff9b::/96"), 12), (IPNetwork.Parse("64:ff9b:1::/48"), 12), (IPNetwork.Parse("::/96"), 12)];

    private static readonly string[] LocalSuffixes = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp", ".private"];

    /// <summary>Why this URL can't be an endpoint's in that mode; null when it can.</summary>
    public string? Refuse(Mode mode, string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("https" or "http")) return "must be an absolute http or https URL";
        if (url.UserInfo.Length > 0) return "must not hold a user name or password";
        if (mode is Mode.Live && url.Scheme is not "https") return "must be an https URL in live mode";
        if (mode is Mode.Live && url.Port is not (443 or 8443)) return "must use port 443 or 8443 in live mode";

        var host = url.IdnHost.TrimEnd('.');
        if (host.Length == 0) return "must name a host";
        // Digits may be written in forms that a resolver takes for plain ones, and not every worker has the tables to tell.
        if (!Ascii.IsValid(url.Host)) return "must name its host in ASCII; write an international name in punycode";
        if (IPAddress.TryParse(host, out var address)) return Allows(mode, address) ? null : "must not be an address that only our own network reaches";
        if (MayBeLocal(mode)) return null;
        return !host.Contains('.', StringComparison.Ordinal) || LocalSuffixes.Any(suffix => host.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
            ? "must name a host on the internet" : null;
    }

    public bool Allows(Mode mode, IPAddress address) => ReachOf(address) switch
    {
        Reach.Public => true,
        Reach.Local => MayBeLocal(mode),
        _ => false,
    };

    /// <summary>How far an address reaches; one that carries an IPv4 address reaches no further than that.</summary>
    public static Reach ReachOf(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) return ReachOf(address.MapToIPv4());
        if (address.AddressFamily is AddressFamily.InterNetworkV6 && address.ScopeId != 0) return Reach.None;
        if (LocalNetworks.Any(network => network.Contains(address))) return Reach.Local;
        if (UnreachableNetworks.Any(network => network.Contains(address))) return Reach.None;
        if (address.AddressFamily is not AddressFamily.InterNetworkV6) return Reach.Public;
        foreach (var (network, offset) in Carriers)
            if (network.Contains(address)) return ReachOf(new IPAddress(address.GetAddressBytes().AsSpan(offset, 4)));
        return GlobalUnicast.Contains(address) ? Reach.Public : Reach.None;
    }

    private bool MayBeLocal(Mode mode) => mode is Mode.Test && configuration.GetValue("Webhooks:AllowLocalTargets", false);

    private static IEnumerable<IPNetwork> Networks(string text) =>
        text.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries).Select(IPNetwork.Parse);
}
