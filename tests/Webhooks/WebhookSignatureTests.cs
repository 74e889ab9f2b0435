using System.Text;
using Harbour.Foundation;
using Harbour.Webhooks;

namespace Harbour.Tests.Webhooks;

public sealed class WebhookSignatureTests
{
    // The example of the Standard Webhooks specification's reference libraries.
    private const string Id = "msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp = "1614265330", Signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    private static readonly Secret Secret = new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    private static readonly Secret OtherSecret = new("whsec_" + Convert.ToBase64String(new byte[24]));
    private static readonly byte[] Body = "{\"test\": 2432232314}"u8.ToArray();
    private static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeSeconds(1614265330);
    private static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    [Fact]
    public void The_published_example_comes_out_to_the_letter() => Assert.Equal(Signature, WebhookSignature.Sign(Id, At, Body, Secret));

    [Fact]
    public void The_timestamp_is_in_whole_seconds() => Assert.Equal(Timestamp, WebhookSignature.Timestamp(At.AddMilliseconds(999)));

    [Fact]
    public void Each_secret_signs_in_its_order()
    {
        var header = WebhookSignature.Sign(Id, At, Body, OtherSecret, Secret).Split(' ');
        Assert.Equal([WebhookSignature.Sign(Id, At, Body, OtherSecret), Signature], header);
        Assert.NotEqual(header[0], header[1]);
    }

    [Theory]
    [InlineData(Signature, Id, Timestamp, 0, true)]
    [InlineData("v1,AAAA " + Signature, Id, Timestamp, 0, true)]
    [InlineData(Signature, Id, Timestamp, 300, true)]
    [InlineData(Signature, Id, Timestamp, -300, true)]
    [InlineData(Signature, Id, Timestamp, 301, false)]
    [InlineData(Signature, Id, Timestamp, -301, false)]
    [InlineData(Signature, Id + "x", Timestamp, 0, false)]
    [InlineData(Signature, Id, "1614265331", 0, false)]
    [InlineData(Signature, Id, "soon", 0, false)]
    [InlineData(Signature, Id, "9223372036854775807", 0, false)]
    [InlineData("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", Id, Timestamp, 0, false)]
    [InlineData("", Id, Timestamp, 0, false)]
    public void A_signature_holds_for_its_id_and_time(string header, string id, string timestamp, int secondsLater, bool holds) =>
        Assert.Equal(holds, WebhookSignature.Verify(header, id, timestamp, Body, Secret, At.AddSeconds(secondsLater), Tolerance));

    [Fact]
    public void A_signature_holds_for_its_body_and_secret_alone()
    {
        Assert.False(WebhookSignature.Verify(Signature, Id, Timestamp, Encoding.UTF8.GetBytes("{\"test\":2432232314}"), Secret, At, Tolerance));
        Assert.False(WebhookSignature.Verify(Signature, Id, Timestamp, Body, OtherSecret, At, Tolerance));
    }
}
