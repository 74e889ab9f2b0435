using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harbour.Merchants;

/// <summary>
/// The networks that calls may come from, IPv4 and IPv6 in CIDR form (RFC 4632, RFC 4291). An empty list allows every address.
/// An IPv4 address that arrives in its IPv6-mapped form (<c>::ffff:203.0.113.7</c>) is the IPv4 address, in lists and in callers.
/// </summary>
[JsonConverter(typeof(AllowListJson))]
public sealed class AllowList
{
    public static readonly AllowList Everyone = new([]);

    private AllowList(ImmutableArray<IPNetwork> networks) => Networks = networks;

    public ImmutableArray<IPNetwork> Networks { get; }

    /// <summary>Takes networks (<c>203.0.113.0/24</c>) and single addresses; a network with bits set beyond its prefix is refused.</summary>
    public static bool TryParse(IEnumerable<string> texts, [NotNullWhen(true)] out AllowList? list)
    {
        list = null;
        var networks = ImmutableArray.CreateBuilder<IPNetwork>();
        foreach (var text in texts)
        {
            if (!TryParse(text, out var network)) return false;
            networks.Add(network);
        }

        list = networks.Count == 0 ? Everyone : new AllowList(networks.ToImmutable());
        return true;
    }

    /// <exception cref="FormatException">One of the texts is not a network.</exception>
    public static AllowList Parse(params IEnumerable<string> texts) =>
        TryParse(texts, out var list) ? list : throw new FormatException("Not a list of networks in CIDR form.");

    /// <summary>An address that is not known is allowed by the empty list only.</summary>
    public bool Allows(IPAddress? address)
    {
        if (Networks.IsEmpty) return true;
        if (address is null) return false;
        var plain = Plain(address);
        foreach (var network in Networks)
            if (network.Contains(plain)) return true;
        return false;
    }

    private static bool TryParse(string text, out IPNetwork network)
    {
        network = default;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        // IPAddress also reads forms such as "1" and "0x7f.1"; only what prints as it was written is meant as an address.
        if (!IPAddress.TryParse(slash < 0 ? text : text.AsSpan(0, slash), out var address)) return false;
        if (address.AddressFamily is AddressFamily.InterNetwork && address.ToString() != (slash < 0 ? text : text[..slash])) return false;
        if (address.AddressFamily is AddressFamily.InterNetworkV6 && address.ScopeId != 0) return false;

        var bits = address.AddressFamily is AddressFamily.InterNetwork ? 32 : 128;
        var prefix = bits;
        if (slash >= 0 && !int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefix)) return false;
        if (address.IsIPv4MappedToIPv6 && prefix >= 96) (address, prefix, bits) = (address.MapToIPv4(), prefix - 96, 32);
        if (prefix > bits || HasBitsBeyond(address, prefix)) return false;
        network = new IPNetwork(address, prefix);
        return true;
    }

    private static bool HasBitsBeyond(IPAddress address, int prefix)
    {
        var bytes = address.GetAddressBytes();
        for (var bit = prefix; bit < bytes.Length * 8; bit++)
            if ((bytes[bit / 8] & (0x80 >> (bit % 8))) != 0) return true;
        return false;
    }

    private static IPAddress Plain(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) return address.MapToIPv4();
        return address.AddressFamily is AddressFamily.InterNetworkV6 && address.ScopeId != 0 ? new IPAddress(address.GetAddressBytes()) : address;
    }

    private sealed class AllowListJson : JsonConverter<AllowList>
    {
        public override AllowList Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            Parse(JsonSerializer.Deserialize<string[]>(ref reader, options) ?? []);

        public override void Write(Utf8JsonWriter writer, AllowList value, JsonSerializerOptions options) =>
            JsonSerializer.Serialize(writer, value.Networks.Select(n => n.ToString()), options);
    }
}
