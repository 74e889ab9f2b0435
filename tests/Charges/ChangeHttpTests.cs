namespace Harbour.Tests.Charges;

[Collection(nameof(UsesSandbox))]
public sealed class ChangeHttpTests(SandboxFixture sandbox) : OwnHost(sandbox)
{
    [Fact]
    public async Task A_manual_charge_is_authorised_and_captured_later()
    {
        var charge = await Shop.ChargeAsync(Api.Charge(capture: "manual"));
        Assert.Equal((201, "authorized", 0L), (charge.Status, charge.State, charge.Body["amount_captured"]!.GetValue<long>()));
        Assert.Equal(0, await Shop.AvailableAsync());

        var captured = await CaptureAsync(charge.Id);
        Assert.Equal((201, "succeeded", 12800L, 3), (captured.Status, captured.State, captured.Body["amount_captured"]!.GetValue<long>(), captured.Body["version"]!.GetValue<int>()));
        Assert.Equal(606, captured.Body["settlement"]!["fee"]!.GetValue<long>());
        Assert.Equal(12194, await Shop.AvailableAsync());
        Assert.Equal(captured.Text, (await Shop.GetAsync("/v1/charges/" + charge.Id)).Text);
        Assert.Equal("succeeded", Assert.Single(Host.Stripe!.Payments()).Status);
    }

    [Fact]
    public async Task Several_captures_cost_what_one_would()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        // The fixed part of the fee is more than the first capture: it comes out of the balance, and own money covers what is missing.
        var first = await CaptureAsync(id, new { amount = 100, final = false });
        Assert.Equal((201, "authorized", 100L), (first.Status, first.State, first.Body["amount_captured"]!.GetValue<long>()));
        Assert.Equal(100 - 238, await Shop.AvailableAsync());
        var second = await CaptureAsync(id, new { amount = 2700, final = false });
        Assert.Equal(("authorized", 2800L), (second.State, second.Body["amount_captured"]!.GetValue<long>()));
        var last = await CaptureAsync(id, new { final = false });
        Assert.Equal(("succeeded", 12800L, 606L), (last.State, last.Body["amount_captured"]!.GetValue<long>(), last.Body["settlement"]!["fee"]!.GetValue<long>()));
        Assert.Equal(12194, await Shop.AvailableAsync());
    }

    [Fact]
    public async Task A_final_capture_of_a_part_releases_the_rest()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        var part = await CaptureAsync(id, new { amount = 5000 });
        Assert.Equal(("succeeded", 5000L, 5000L), (part.State, part.Body["amount_captured"]!.GetValue<long>(), part.Body["amount_refundable"]!.GetValue<long>()));
        Assert.Equal((409, "invalid_transition"), Refusal(await CaptureAsync(id)));
    }

    [Fact]
    public async Task A_cancellation_voids_what_is_not_captured()
    {
        var whole = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        Assert.Equal((201, "canceled"), await Summary(CancelAsync(whole)));
        Assert.Equal((409, "invalid_transition"), Refusal(await CancelAsync(whole)));
        Assert.Equal((409, "invalid_transition"), Refusal(await CaptureAsync(whole)));

        var part = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        await CaptureAsync(part, new { amount = 5000, final = false });
        var canceled = await CancelAsync(part);
        Assert.Equal((201, "succeeded", 5000L), (canceled.Status, canceled.State, canceled.Body["amount_captured"]!.GetValue<long>()));
        Assert.Equal(["canceled", "succeeded"], Host.Stripe!.Payments().Select(p => p.Status));
    }

    [Theory]
    [InlineData("""{"amount":12801}""", 422, "capture_exceeds_authorized")]
    [InlineData("""{"amount":0}""", 422, "amount_too_small")]
    [InlineData("""{"amount":-1}""", 422, "amount_too_small")]
    [InlineData("""{"amount":1.5}""", 422, "amount_invalid")]
    [InlineData("""{"final":"yes"}""", 422, "field_invalid")]
    [InlineData("""{"amuont":5}""", 422, "field_unknown")]
    public async Task A_capture_that_is_not_possible_is_refused_and_keeps_the_key_free(string body, int status, string code)
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        var key = Api.NewKey();
        Assert.Equal((status, code), Refusal(await Shop.PostAsync($"/v1/charges/{id}/capture", body, key)));
        Assert.Equal(201, (await Shop.PostAsync($"/v1/charges/{id}/capture", null, key)).Status);
    }

    [Fact]
    public async Task A_charge_that_is_not_there_cannot_be_changed()
    {
        const string None = "ch_01jdb0000000000000000000ab";
        Assert.Equal((404, "charge_not_found"), Refusal(await CaptureAsync(None)));
        Assert.Equal((404, "charge_not_found"), Refusal(await CancelAsync(None)));
        Assert.Equal((404, "charge_not_found"), Refusal(await Shop.PostAsync($"/v1/charges/{None}/refunds", null)));
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        Assert.Equal((404, "charge_not_found"), Refusal(await new Api(Http, Api.Other).PostAsync($"/v1/charges/{id}/capture", null)));
        Assert.Equal((403, "insufficient_scope"), Refusal(await new Api(Http, Api.ReadOnly).PostAsync($"/v1/charges/{id}/capture", null)));
    }

    [Fact]
    public async Task The_same_key_captures_once_and_is_answered_the_same()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        var key = Api.NewKey();
        var first = await Shop.PostAsync($"/v1/charges/{id}/capture", new { amount = 1000, final = false }, key);
        var second = await Shop.PostAsync($"/v1/charges/{id}/capture", new { amount = 1000, final = false }, key);
        Assert.Equal((201, first.Text, "true"), (second.Status, second.Text, second["Idempotent-Replayed"]));
        Assert.Equal((422, "idempotency_key_reused"), Refusal(await Shop.PostAsync($"/v1/charges/{id}/capture", new { amount = 2000, final = false }, key)));
        Assert.Equal(1000, Host.Stripe!.Payments()[0].AmountCaptured);
    }

    [Fact]
    public async Task While_the_provider_is_down_nothing_is_attempted_and_the_same_key_works_afterwards()
    {
        var id = (await Shop.ChargeAsync(Api.Charge(capture: "manual"))).Id;
        var (capture, charge) = (Api.NewKey(), Api.NewKey());
        await Shop.PostAsync("/sandbox/faults", new { provider = "stripe", down = true });
        foreach (var refused in new[] { await Shop.PostAsync($"/v1/charges/{id}/capture", null, capture), await Shop.ChargeAsync(Api.Charge(reference: "down"), charge) })
        {
            Assert.Equal((503, "provider_unavailable"), Refusal(refused));
            Assert.True(refused.Body["retryable"]!.GetValue<bool>());
        }

        Assert.Empty((await Shop.GetAsync("/v1/charges?reference=down")).Body["data"]!.AsArray());
        await Shop.PostAsync("/sandbox/faults", new { provider = "stripe" });
        Assert.Equal((201, "succeeded"), await Summary(Shop.PostAsync($"/v1/charges/{id}/capture", null, capture)));
        Assert.Equal((201, "succeeded"), await Summary(Shop.ChargeAsync(Api.Charge(reference: "down"), charge)));
        Assert.Equal(2, Host.Stripe!.Payments().Count);
    }

    private Task<ApiAnswer> CaptureAsync(string id, object? body = null) => Shop.PostAsync($"/v1/charges/{id}/capture", body);

    private Task<ApiAnswer> CancelAsync(string id) => Shop.PostAsync($"/v1/charges/{id}/cancel", null);

    private static (int, string?) Refusal(ApiAnswer answer) => (answer.Status, answer.Code);

    private static async Task<(int, string)> Summary(Task<ApiAnswer> asking)
    {
        var answer = await asking;
        return (answer.Status, answer.State);
    }
}
