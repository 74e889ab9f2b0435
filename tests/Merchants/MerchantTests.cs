using System.Net;
using Harbour.Foundation;
using Harbour.Merchants;

namespace Harbour.Tests.Merchants;

public sealed class MerchantTests
{
    [Theory]
    [InlineData("HKD", 12800, 606)]
    [InlineData("HKD", 0, 0)]
    [InlineData("HKD", 1, 235)]
    [InlineData("HKD", 500, 250)] // 14.5 is rounded up
    [InlineData("HKD", 499, 249)] // 14.471
    [InlineData("USD", 10000, 320)]
    [InlineData("CNY", 10000, 505)]
    public void The_fee_is_the_percentage_of_the_total_half_up_and_the_fixed_part(string currency, long total, long fee) =>
        Assert.Equal(new Money(fee, Currency.Parse(currency)), FeeSchedule.Standard.FeeOf(new Money(total, Currency.Parse(currency))));

    [Fact]
    public void There_is_no_fee_in_a_currency_that_the_merchant_does_not_settle_in() =>
        Assert.Throws<InvalidOperationException>(() => FeeSchedule.Standard.FeeOf(new Money(1, Currency.Parse("JPY"))));

    [Fact]
    public void There_is_no_fee_on_less_than_nothing() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => FeeSchedule.Standard.FeeOf(new Money(-1, Currency.HKD)));

    [Fact]
    public void A_merchant_reads_the_same_after_it_was_stored()
    {
        var merchant = Merchant.OnStandardTerms(Id<Merchant>.Parse("mch_00000000000000000000000007"), "有限公司") with { AllowedFrom = AllowList.Parse("203.0.113.0/24", "2001:db8::/32") };
        var read = Json.Parse<Merchant>(Json.Text(merchant));
        Assert.Equal(Json.Text(merchant), Json.Text(read));
        Assert.Equal([Currency.CNY, Currency.HKD, Currency.USD], read.SettlementCurrencies);
        Assert.Equal(new Money(500_000, Currency.HKD), read.RefundAllowanceIn(Currency.HKD));
        Assert.Equal(new Money(0, Currency.Parse("JPY")), read.RefundAllowanceIn(Currency.Parse("JPY")));
        Assert.Equal(new Money(606, Currency.HKD), read.Fees.FeeOf(new Money(12800, Currency.HKD)));
    }

    [Theory]
    [InlineData("203.0.113.0/24", "203.0.113.255", true)]
    [InlineData("203.0.113.0/24", "203.0.114.0", false)]
    [InlineData("203.0.113.0/24", "::ffff:203.0.113.7", true)]
    [InlineData("203.0.113.7", "203.0.113.7", true)]
    [InlineData("203.0.113.7", "203.0.113.8", false)]
    [InlineData("::ffff:203.0.113.0/120", "203.0.113.7", true)]
    [InlineData("0.0.0.0/0", "198.51.100.1", true)]
    [InlineData("0.0.0.0/0", "2001:db8::1", false)]
    [InlineData("2001:db8::/32", "2001:db8:ffff::1", true)]
    [InlineData("2001:db8::/32", "2001:db9::1", false)]
    [InlineData("2001:db8::/32", "203.0.113.7", false)]
    [InlineData("fe80::/10", "fe80::1%3", true)]
    [InlineData("::/0", "::ffff:203.0.113.7", false)]
    public void An_address_is_allowed_when_a_network_holds_it(string network, string address, bool allowed) =>
        Assert.Equal(allowed, AllowList.Parse(network).Allows(IPAddress.Parse(address)));

    [Theory]
    [InlineData("")]
    [InlineData("203.0.113.1/24")] // bits beyond the prefix
    [InlineData("203.0.113.0/33")]
    [InlineData("203.0.113.0/-1")]
    [InlineData("203.0.113.0/")]
    [InlineData("203.0.113.0/ 24")]
    [InlineData("203.0.113/24")]
    [InlineData("1")]
    [InlineData("0x7f.0.0.1")]
    [InlineData("2001:db8::/129")]
    [InlineData("2001:db8::1/64")]
    [InlineData("fe80::1%3")]
    [InlineData("example.com")]
    public void What_is_not_a_network_is_refused(string text) => Assert.False(AllowList.TryParse([text], out _));

    [Fact]
    public void The_empty_list_allows_all_and_any_other_refuses_an_unknown_address()
    {
        Assert.True(AllowList.Everyone.Allows(null));
        Assert.True(AllowList.Parse().Allows(IPAddress.Loopback));
        Assert.False(AllowList.Parse("0.0.0.0/0").Allows(null));
    }
}
