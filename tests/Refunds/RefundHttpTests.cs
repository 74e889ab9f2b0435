using Harbour.Foundation;
using Harbour.Sandbox;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Refunds;

[Collection(nameof(UsesSandbox))]
public sealed class RefundHttpTests(SandboxFixture sandbox) : OwnHost(sandbox)
{
    [Fact]
    public async Task The_only_charge_of_a_new_merchant_can_be_refunded_in_full()
    {
        var charge = await Shop.ChargeAsync();
        var refund = await RefundAsync(charge.Id, null);
        Assert.Equal((201, "succeeded", 12800L, charge.Id), (refund.Status, refund.State, refund.Body["amount"]!.GetValue<long>(), refund.Body["charge"]!.GetValue<string>()));
        Assert.StartsWith("re_", refund.Id);
        Assert.Equal(refund.Text, (await Shop.GetAsync("/v1/refunds/" + refund.Id)).Text);

        var after = (await Shop.GetAsync("/v1/charges/" + charge.Id)).Body;
        Assert.Equal((12800L, 0L), (after["amount_refunded"]!.GetValue<long>(), after["amount_refundable"]!.GetValue<long>()));
        // The fee is not returned, so the balance is below zero by the fee, and own money covers it.
        Assert.Equal(-606, await Shop.AvailableAsync());
        Assert.Equal(606, await SumAsync("own_bank"));
        Assert.Equal(-606, await SumAsync("float_bank"));
        Assert.Equal(12800, Assert.Single(Host.Stripe!.Payments()).AmountRefunded);
        Assert.Equal((422, "refund_exceeds_captured"), Refusal(await RefundAsync(charge.Id, null)));
    }

    [Fact]
    public async Task Own_money_goes_back_when_the_balance_has_recovered()
    {
        var charge = await Shop.ChargeAsync();
        await RefundAsync(charge.Id, null);
        var second = await Shop.ChargeAsync();
        await Shop.AdvanceAsync("00:05:00");
        Assert.Equal((0L, 0L), (await SumAsync("own_bank"), await SumAsync("float_bank")));
        Assert.Equal(12194 - 606, await Shop.AvailableAsync());
        Assert.Equal(201, (await RefundAsync(second.Id, new { amount = 100 })).Status);
    }

    [Fact]
    public async Task Parts_add_up_to_what_was_captured_and_no_more()
    {
        await Shop.ChargeAsync(Api.Charge(amount: 50000));
        var id = (await Shop.ChargeAsync(Api.Charge(amount: 10000))).Id;
        Assert.Equal(201, (await RefundAsync(id, new { amount = 6000, reason = "requested_by_customer", reference = "r-1" })).Status);
        var refused = await RefundAsync(id, new { amount = 6000 });
        Assert.Equal((422, "refund_exceeds_captured", "at most 4000 HKD can still be refunded"), (refused.Status, refused.Code, refused.Body["detail"]!.GetValue<string>()));
        Assert.Equal(201, (await RefundAsync(id, null)).Status);

        var listed = (await Shop.GetAsync("/v1/refunds?charge=" + id)).Body["data"]!.AsArray();
        Assert.Equal([4000L, 6000L], listed.Select(r => r!["amount"]!.GetValue<long>()));
        Assert.Equal("requested_by_customer", listed[1]!["reason"]!.GetValue<string>());
        var page = (await Shop.GetAsync("/v1/refunds?limit=1")).Body;
        Assert.True(page["has_more"]!.GetValue<bool>());
        Assert.Equal(6000, (await Shop.GetAsync("/v1/refunds?limit=1&cursor=" + page["next_cursor"])).Body["data"]![0]!["amount"]!.GetValue<long>());
    }

    [Fact]
    public async Task A_refund_stops_at_the_allowance()
    {
        // HKD 5,000 below zero at the most: the balance is emptied by refunds of other charges first.
        var ids = new List<string>();
        for (var i = 0; i < 2; i++) ids.Add((await Shop.ChargeAsync(Api.Charge(amount: 1_000_000))).Id);
        Assert.Equal(201, (await RefundAsync(ids[0], null)).Status);
        Assert.Equal(201, (await RefundAsync(ids[1], null)).Status);
        Assert.Equal(-2 * (29_000 + 235), await Shop.AvailableAsync());

        var live = new Api(Http, Api.Live);
        var big = new List<string>();
        for (var i = 0; i < 18; i++) big.Add((await live.ChargeAsync(Api.Charge(amount: 1_000_000))).Id);
        var refused = 0;
        foreach (var id in big) refused += (await live.PostAsync($"/v1/charges/{id}/refunds", null)) is { Status: 422, Code: "insufficient_funds" } ? 1 : 0;
        Assert.Equal(1, refused);
        Assert.InRange(await live.AvailableAsync(), -500_000, 500_000);
    }

    [Theory]
    [InlineData("""{"amount":0}""", "amount_too_small")]
    [InlineData("""{"amount":"5"}""", "amount_invalid")]
    [InlineData("""{"reason":"because"}""", "field_invalid")]
    [InlineData("""{"charge":"x"}""", "field_unknown")]
    public async Task A_refund_that_is_not_valid_is_refused(string body, string code)
    {
        var id = (await Shop.ChargeAsync()).Id;
        Assert.Equal((422, code), Refusal(await RefundAsync(id, body)));
    }

    [Fact]
    public async Task Only_what_was_captured_can_be_refunded()
    {
        var authorised = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        Assert.Equal((409, "invalid_transition"), Refusal(await RefundAsync(authorised, null)));
        var failed = (await Shop.ChargeAsync(Api.Charge("tok_declined"))).Body["charge"]!.GetValue<string>();
        Assert.Equal((409, "invalid_transition"), Refusal(await RefundAsync(failed, null)));
        await Shop.PostAsync($"/v1/charges/{authorised}/capture", new { amount = 1000, final = false });
        Assert.Equal(201, (await RefundAsync(authorised, new { amount = 500 })).Status);
    }

    [Fact]
    public async Task A_refund_needs_its_own_scope_and_its_own_merchant()
    {
        var id = (await Shop.ChargeAsync()).Id;
        Assert.Equal((403, "insufficient_scope"), Refusal(await new Api(Http, Api.ReadOnly).PostAsync($"/v1/charges/{id}/refunds", null)));
        var refund = (await RefundAsync(id, null)).Id;
        Assert.Equal((404, "refund_not_found"), Refusal(await new Api(Http, Api.Other).GetAsync("/v1/refunds/" + refund)));
        Assert.Equal((404, "refund_not_found"), Refusal(await Shop.GetAsync("/v1/refunds/re_x")));
    }

    [Fact]
    public async Task A_provider_that_is_down_leaves_the_money_where_it_was()
    {
        var id = (await Shop.ChargeAsync()).Id;
        var key = Api.NewKey();
        await Shop.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        Assert.Equal((503, "provider_unavailable"), Refusal(await Shop.PostAsync($"/v1/charges/{id}/refunds", new { amount = 1000 }, key)));
        Assert.Equal(12194, await Shop.AvailableAsync());
        Assert.Empty((await Shop.GetAsync("/v1/refunds?charge=" + id)).Body["data"]!.AsArray());
        Assert.Equal(0, (await Shop.GetAsync("/v1/charges/" + id)).Body["amount_refunded"]!.GetValue<long>());

        await Shop.PostAsync("/sandbox/faults", new { provider = "stripe" });
        Assert.Equal(201, (await Shop.PostAsync($"/v1/charges/{id}/refunds", new { amount = 1000 }, key)).Status);
        Assert.Equal(11194, await Shop.AvailableAsync());
        Assert.Equal(1000, Host.Stripe!.Payments()[0].AmountRefunded);
    }

    private Task<ApiAnswer> RefundAsync(string charge, object? body) => Shop.PostAsync($"/v1/charges/{charge}/refunds", body);

    /// <summary>The sum of an account's postings in HKD, read from the books themselves.</summary>
    private async Task<long> SumAsync(string account)
    {
        var books = Host.Services.GetRequiredService<Books>();
        var prefix = LedgerKeys.Postings(new Account(account), Currency.HKD);
        return await books.ScanAsync(new Book(Seed.Demo.Value, Mode.Test), prefix, prefix + Books.Last).Select(row => row.GetInt64("Amount")!.Value).SumAsync();
    }

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);
}
