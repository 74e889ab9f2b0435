using System.Text;
using Harbour.Charges;
using Harbour.Foundation;

namespace Harbour.Tests.Foundation;

public sealed class FieldsTests
{
    private const string Method = "\"payment_method\":{\"type\":\"card\",\"token\":\"tok_visa\"}";
    private const string Rest = "\"currency\":\"HKD\"," + Method;
    private const string Mandate = "\"mandate\":\"man_01jdb0000000000000000000ab\"";

    [Theory]
    [InlineData("{\"amount\":0," + Rest + "}", "amount_too_small", "amount")]
    [InlineData("{\"amount\":-5," + Rest + "}", "amount_too_small", "amount")]
    [InlineData("{\"amount\":399," + Rest + "}", "amount_too_small", "amount")]
    [InlineData("{\"amount\":100000000," + Rest + "}", "amount_too_large", "amount")]
    [InlineData("{\"amount\":1.5," + Rest + "}", "amount_invalid", "amount")]
    [InlineData("{\"amount\":\"12\"," + Rest + "}", "amount_invalid", "amount")]
    [InlineData("{\"amount\":1000000000000000000000000000000," + Rest + "}", "amount_invalid", "amount")]
    [InlineData("{\"amount\":1e400," + Rest + "}", "amount_invalid", "amount")]
    [InlineData("{\"amount\":true," + Rest + "}", "amount_invalid", "amount")]
    [InlineData("{" + Rest + "}", "field_required", "amount")]
    [InlineData("{\"amount\":null," + Rest + "}", "field_required", "amount")]
    [InlineData("{\"amount\":500,\"currency\":\"XYZ\",\"payment_method\":{\"type\":\"card\",\"token\":\"t\"}}", "currency_not_supported", "currency")]
    [InlineData("{\"amount\":500,\"currency\":\"hkd\",\"payment_method\":{\"type\":\"card\",\"token\":\"t\"}}", "currency_not_supported", "currency")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\"}", "field_required", "payment_method")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":\"card\"}", "field_invalid", "payment_method")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"cash\",\"token\":\"t\"}}", "payment_method_not_supported", "payment_method.type")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\"}}", "field_required", "payment_method.token")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"token\":\"a b\"}}", "field_invalid", "payment_method.token")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"token\":\"t\",\"x\":1}}", "field_unknown", "payment_method.x")]
    [InlineData("{\"amount\":500,\"amuont\":1," + Rest + "}", "field_unknown", "amuont")]
    [InlineData("{\"amount\":500,\"{0}\":1," + Rest + "}", "field_unknown", "{0}")]
    [InlineData("{\"amount\":500,\"return_url\":\"http://a.example\"," + Rest + "}", "field_invalid", "return_url")]
    [InlineData("{\"amount\":500,\"capture_method\":\"later\"," + Rest + "}", "field_invalid", "capture_method")]
    [InlineData("{\"amount\":500,\"settlement_currency\":\"USD\"," + Rest + "}", "currency_not_supported", "settlement_currency")]
    [InlineData("{\"amount\":500,\"metadata\":{\"a\":1}," + Rest + "}", "field_invalid", "metadata.a")]
    [InlineData("{\"amount\":500,\"description\":\"a\\u0000\"," + Rest + "}", "field_invalid", "description")]
    [InlineData("{\"amount\":500,\"metadata\":{\"a\":\"\\u0007\"}," + Rest + "}", "field_invalid", "metadata")]
    [InlineData("{\"amount\":500,\"metadata\":[]," + Rest + "}", "field_invalid", "metadata")]
    [InlineData("{\"amount\":500,\"customer\":\"cus_1\"," + Rest + "}", "customer_not_found", "customer")]
    [InlineData("{\"amount\":500,\"setup_mandate\":true," + Rest + "}", "field_required", "customer")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"mandate\":\"man_1\"," + Method + "}", "mandate_not_found", "mandate")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\"," + Mandate + "," + Method + "}", "field_invalid", "payment_method.token")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\"," + Mandate + ",\"setup_mandate\":true}", "field_invalid", "setup_mandate")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\"," + Mandate + ",\"three_d_secure\":\"never\"}", "field_invalid", "three_d_secure")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\"," + Mandate + ",\"return_url\":\"https://a.example\"}", "field_invalid", "return_url")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"number\":\"1\"}}", "raw_card_data_refused", "payment_method.number")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"card\":{\"cvc\":\"1\"}}}", "raw_card_data_refused", "payment_method.card.cvc")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"token\":\"4242424242424242\"}}", "raw_card_data_refused", "payment_method.token")]
    [InlineData("{\"amount\":500,\"currency\":\"HKD\",\"payment_method\":{\"type\":\"card\",\"token\":4242424242424242}}", "raw_card_data_refused", "payment_method.token")]
    [InlineData("{\"amount\":500,\"description\":\"pan 4242 4242 4242 4242\"," + Rest + "}", "raw_card_data_refused", "description")]
    public void A_field_that_is_not_valid_is_refused_by_its_name(string body, string code, string param)
    {
        Assert.False(Read(body).Ok(out _, out var error));
        Assert.Equal(code, error.Code);
        Assert.Equal(param, error.Param);
        Assert.NotEmpty(error.Detail(Language.English));
        Assert.NotEmpty(error.Detail(Language.TraditionalChinese));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("12")]
    [InlineData("{\"amount\":500,\"amount\":500," + Rest + "}")]
    [InlineData("{\"amount\":500,\"reference\":\"\\ud800\"," + Rest + "}")]
    [InlineData("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}}}")]
    public void What_is_not_one_json_object_is_malformed(string body)
    {
        Assert.False(Read(body).Ok(out _, out var error));
        Assert.Equal(body.Length == 0 ? "validation_failed" : "malformed_json", error.Code);
    }

    [Fact]
    public void Bytes_that_are_not_utf8_are_malformed()
    {
        var body = Encoding.UTF8.GetBytes("{\"amount\":500,\"reference\":\"x\"," + Rest + "}");
        body[Array.IndexOf(body, (byte)'x')] = 0xff;
        Assert.False(ChargeRequest.Read(body, ["card"]).Ok(out _, out var error));
        Assert.Equal("malformed_json", error.Code);
    }

    [Fact]
    public void Several_mistakes_are_all_told()
    {
        Assert.False(Read("{\"amount\":1.5,\"currency\":\"HKD\",\"reference\":5}").Ok(out _, out var error));
        Assert.Equal("validation_failed", error.Code);
        Assert.Equal(["amount", "payment_method", "reference"], error.Inner.Select(e => e.Param!).Order());
    }

    [Fact]
    public void A_whole_request_is_read()
    {
        Assert.True(Read("{\"amount\":12800,\"reference\":\"order-1001\",\"metadata\":{\"seat\":\"十二\"},\"customer\":null,\"capture_method\":\"manual\"," + Rest + "}").Ok(out var request, out _));
        Assert.Equal(new Money(12800, Currency.HKD), request.Amount);
        Assert.Equal(CaptureMethod.Manual, request.CaptureMethod);
        Assert.Equal("十二", request.Metadata["seat"]);
        Assert.Equal(Currency.HKD, request.SettlementCurrency);
    }

    [Theory]
    [InlineData("order 20261123100000", false)]
    [InlineData("4242424242424242", true)]
    [InlineData("4242-4242-4242-4242", true)]
    [InlineData("x4000056655665556y", true)]
    [InlineData("5555555555554444", true)]
    [InlineData("378282246310005", true)]
    [InlineData("6200000000000005", true)]
    [InlineData("4242 4242 4242 4242 123", true)]
    [InlineData("4242424242424242 12/28", true)]
    [InlineData("card 1 4242424242424242", true)]
    [InlineData("order 12-4242424242424242", true)]
    [InlineData("4242.4242.4242.4242", true)]
    [InlineData("4242_4242_4242_4242", true)]
    [InlineData("4242\u00a04242\u00a04242\u00a04242", true)]
    [InlineData("4242  4242  4242  4242", true)]
    [InlineData("42424242424242421234", false)]
    [InlineData("4242424242424241", false)]
    [InlineData("1234567890123452", false)]
    public void A_card_number_has_a_network_and_a_right_check_digit(string text, bool expected) =>
        Assert.Equal(expected, CardData.ContainsCardNumber(text));

    [Theory]
    [InlineData("paid with 4242 4242 4242 4242 today", "paid with ****4242 today")]
    [InlineData("key sk_test_harbour_demo", "key sk_test_***")]
    [InlineData("Authorization: Bearer abcdef123456", "Authorization: Bearer ***")]
    [InlineData("nothing to hide, order 1001", "nothing to hide, order 1001")]
    public void What_is_logged_is_masked(string text, string expected) => Assert.Equal(expected, CardData.Mask(text));

    private static Result<ChargeRequest> Read(string body) => ChargeRequest.Read(Encoding.UTF8.GetBytes(body), ["card"]);
}
