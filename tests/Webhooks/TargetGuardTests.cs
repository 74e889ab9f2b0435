using System.Net;
using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.Extensions.Configuration;

namespace Harbour.Tests.Webhooks;

public sealed class TargetGuardTests
{
    private static readonly TargetGuard Deployed = Guard(allowLocal: false), Developer = Guard(allowLocal: true);

    [Theory]
    [InlineData("8.8.8.8", Reach.Public)]
    [InlineData("1.1.1.1", Reach.Public)]
    [InlineData("172.15.255.255", Reach.Public)]
    [InlineData("172.32.0.0", Reach.Public)]
    [InlineData("100.63.255.255", Reach.Public)]
    [InlineData("100.128.0.0", Reach.Public)]
    [InlineData("223.255.255.255", Reach.Public)]
    [InlineData("2606:4700:4700::1111", Reach.Public)]
    [InlineData("::ffff:8.8.8.8", Reach.Public)]
    [InlineData("64:ff9b::808:808", Reach.Public)]
    [InlineData("2002:808:808::1", Reach.Public)]
    [InlineData("127.0.0.1", Reach.Local)]
    [InlineData("127.255.255.254", Reach.Local)]
    [InlineData("10.0.0.1", Reach.Local)]
    [InlineData("172.16.0.1", Reach.Local)]
    [InlineData("172.31.255.255", Reach.Local)]
    [InlineData("192.168.1.1", Reach.Local)]
    [InlineData("::1", Reach.Local)]
    [InlineData("fc00::1", Reach.Local)]
    [InlineData("fdff::1", Reach.Local)]
    [InlineData("::ffff:127.0.0.1", Reach.Local)]
    [InlineData("::ffff:10.1.2.3", Reach.Local)]
    [InlineData("64:ff9b::7f00:1", Reach.Local)]
    [InlineData("64:ff9b:1::a00:1", Reach.Local)]
    [InlineData("2002:7f00:1::", Reach.Local)]
    [InlineData("2002:c0a8:101::1", Reach.Local)]
    [InlineData("::127.0.0.1", Reach.Local)]
    [InlineData("0.0.0.0", Reach.None)]
    [InlineData("0.1.2.3", Reach.None)]
    [InlineData("100.64.0.1", Reach.None)]
    [InlineData("100.127.255.255", Reach.None)]
    [InlineData("169.254.169.254", Reach.None)]
    [InlineData("168.63.129.16", Reach.None)]
    [InlineData("192.0.0.1", Reach.None)]
    [InlineData("192.0.2.1", Reach.None)]
    [InlineData("192.88.99.1", Reach.None)]
    [InlineData("198.18.0.1", Reach.None)]
    [InlineData("198.19.255.255", Reach.None)]
    [InlineData("198.51.100.1", Reach.None)]
    [InlineData("203.0.113.7", Reach.None)]
    [InlineData("224.0.0.1", Reach.None)]
    [InlineData("239.255.255.255", Reach.None)]
    [InlineData("240.0.0.1", Reach.None)]
    [InlineData("255.255.255.255", Reach.None)]
    [InlineData("::", Reach.None)]
    [InlineData("::ffff:169.254.169.254", Reach.None)]
    [InlineData("64:ff9b::a9fe:a9fe", Reach.None)]
    [InlineData("2002:a9fe:a9fe::", Reach.None)]
    [InlineData("fe80::1", Reach.None)]
    [InlineData("fe80::1%2", Reach.None)]
    [InlineData("fec0::1", Reach.None)]
    [InlineData("ff02::1", Reach.None)]
    [InlineData("100::1", Reach.None)]
    [InlineData("2001::1", Reach.None)]
    [InlineData("2001:db8::1", Reach.None)]
    [InlineData("3fff::1", Reach.None)]
    [InlineData("4000::1", Reach.None)]
    public void An_address_reaches_as_far_as_its_range_says(string address, Reach reach)
    {
        var parsed = IPAddress.Parse(address);
        Assert.Equal(reach, TargetGuard.ReachOf(parsed));
        Assert.Equal(reach is Reach.Public, Deployed.Allows(Mode.Live, parsed));
        Assert.Equal(reach is Reach.Public, Deployed.Allows(Mode.Test, parsed));
        Assert.Equal(reach is Reach.Public, Developer.Allows(Mode.Live, parsed));
        Assert.Equal(reach is not Reach.None, Developer.Allows(Mode.Test, parsed));
    }

    // Deployed live, deployed test, and test on a developer's machine.
    [Theory]
    [InlineData("https://shop.example/hooks?x=1", true, true, true)]
    [InlineData("https://shop.example:8443/", true, true, true)]
    [InlineData("https://8.8.8.8/", true, true, true)]
    [InlineData("https://[2606:4700:4700::1111]/", true, true, true)]
    [InlineData("https://shop.example:9443/", false, true, true)]
    [InlineData("http://shop.example/", false, true, true)]
    [InlineData("http://localhost:5000/", false, false, true)]
    [InlineData("https://localhost/", false, false, true)]
    [InlineData("https://LOCALHOST./", false, false, true)]
    [InlineData("https://api.localhost/", false, false, true)]
    [InlineData("https://metadata.google.internal/", false, false, true)]
    [InlineData("https://printer.local/", false, false, true)]
    [InlineData("https://intranet/", false, false, true)]
    [InlineData("https://127.0.0.1/", false, false, true)]
    [InlineData("https://[::1]/", false, false, true)]
    [InlineData("https://[::ffff:127.0.0.1]/", false, false, true)]
    [InlineData("https://2130706433/", false, false, true)]
    [InlineData("https://0x7f.1/", false, false, true)]
    [InlineData("https://１２７.０.０.１/", false, false, false)]
    [InlineData("https://①②⑦.0.0.1/", false, false, false)]
    [InlineData("https://0177.0.0.1/", false, false, true)]
    [InlineData("https://10.0.0.1/", false, false, true)]
    [InlineData("https://169.254.169.254/latest", false, false, false)]
    [InlineData("https://100.64.0.1/", false, false, false)]
    [InlineData("https://[fe80::1]/", false, false, false)]
    [InlineData("https://0.0.0.0/", false, false, false)]
    [InlineData("https://user:password@shop.example/", false, false, false)]
    [InlineData("https://user@shop.example/", false, false, false)]
    [InlineData("ftp://shop.example/", false, false, false)]
    [InlineData("file:///etc/passwd", false, false, false)]
    [InlineData("gopher://shop.example/", false, false, false)]
    [InlineData("/hooks", false, false, false)]
    [InlineData("shop.example", false, false, false)]
    [InlineData("https://", false, false, false)]
    [InlineData("https://shop.example:99999/", false, false, false)]
    public void A_URL_is_judged_when_it_is_registered(string url, bool live, bool test, bool developer)
    {
        Assert.Equal(live, Deployed.Refuse(Mode.Live, url) is null);
        Assert.Equal(test, Deployed.Refuse(Mode.Test, url) is null);
        Assert.Equal(developer, Developer.Refuse(Mode.Test, url) is null);
        Assert.Equal(live, Developer.Refuse(Mode.Live, url) is null);
    }

    internal static TargetGuard Guard(bool allowLocal) =>
        new(new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create<string, string?>("Webhooks:AllowLocalTargets", allowLocal ? "true" : null)]).Build());
}
