using System.Text;
using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Webhooks;

public sealed class WebhookEndpointTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 2, 0, 0, TimeSpan.Zero);
    private readonly Ids ids = new(new FakeTimeProvider(Now));

    [Theory]
    [InlineData("*", true)]
    [InlineData("charge.*", true)]
    [InlineData("charge.succeeded", true)]
    [InlineData("batch_transfer.completed", true)]
    [InlineData("split.paid", true)]
    [InlineData("account.webhook_endpoint_disabled", true)]
    [InlineData("charge.exploded", false)]
    [InlineData("charge", false)]
    [InlineData("charge.", false)]
    [InlineData("charge.succeeded.", false)]
    [InlineData("charge.succeeded\n", false)]
    [InlineData("CHARGE.succeeded", false)]
    [InlineData("unicorn.*", false)]
    [InlineData("*.*", false)]
    [InlineData("**", false)]
    [InlineData("", false)]
    public void Only_types_of_the_catalogue_and_families_can_be_asked_for(string pattern, bool known) => Assert.Equal(known, EventTypes.IsPattern(pattern));

    [Theory]
    [InlineData("*", "charge.failed", true)]
    [InlineData("charge.*", "charge.failed", true)]
    [InlineData("charge.failed", "charge.failed", true)]
    [InlineData("charge.succeeded", "charge.failed", false)]
    [InlineData("transfer.*", "batch_transfer.completed", false)]
    [InlineData("charge.*", "charges.failed", false)]
    public void A_pattern_means_its_types(string pattern, string type, bool means) => Assert.Equal(means, EventTypes.Matches(pattern, type));

    [Fact]
    public void An_event_from_before_the_endpoint_is_not_sent_to_it()
    {
        Assert.True(Endpoint().Receives(Happened("charge.succeeded", Now)));
        Assert.False(Endpoint().Receives(Happened("charge.succeeded", Now.AddMilliseconds(-1))));
        Assert.False(Endpoint().Receives(Happened("refund.succeeded", Now)));
        Assert.False(Endpoint().Disable(WebhookEndpoint.Gone, Now).Receives(Happened("charge.succeeded", Now)));
    }

    [Theory]
    [InlineData("""{"url":"https://shop.example/","events":["*"]}""", null)]
    [InlineData("""{"events":["*"]}""", "field_required")]
    [InlineData("""{"url":"https://shop.example/"}""", "field_required")]
    [InlineData("""{"url":"https://shop.example/","events":[]}""", "field_invalid")]
    [InlineData("""{"url":"https://shop.example/","events":"*"}""", "field_invalid")]
    [InlineData("""{"url":"https://shop.example/","events":[1]}""", "field_invalid")]
    [InlineData("""{"url":"https://shop.example/","events":["charge.exploded"]}""", "event_type_unknown")]
    [InlineData("""{"url":"https://127.0.0.1/","events":["*"]}""", "url_not_allowed")]
    [InlineData("""{"url":"https://shop.example/","events":["*"],"status":"disabled"}""", "field_unknown")]
    [InlineData("""{"url":"https://127.0.0.1/","events":["x.y"]}""", "validation_failed")]
    public void Making_an_endpoint_needs_a_url_and_events(string body, string? code)
    {
        var read = EndpointRequest.Read(Encoding.UTF8.GetBytes(body), TargetGuardTests.Guard(allowLocal: false), Mode.Live, making: true);
        Assert.Equal(code, read.Error?.Code);
    }

    [Fact]
    public void A_change_keeps_what_it_does_not_name()
    {
        var before = Endpoint() with { Description = "till" };
        var moved = before.Change(new EndpointRequest("https://new.example/", null, null, null), Now.AddHours(1));
        Assert.Equal(("https://new.example/", "till", 2), (moved.Url, moved.Description, moved.Version));
        Assert.Equal(before.Events, moved.Events);
        Assert.Null(moved.Change(new EndpointRequest(null, null, "", null), Now).Description);
    }

    [Fact]
    public void Enabling_again_takes_the_reason_away_and_disabling_twice_keeps_the_first()
    {
        var gone = Endpoint().Disable(WebhookEndpoint.Gone, Now);
        Assert.Equal(WebhookEndpoint.Gone, gone.Change(new EndpointRequest(null, null, null, EndpointStatus.Disabled), Now).DisabledReason);
        var enabled = gone.Change(new EndpointRequest(null, null, null, EndpointStatus.Enabled), Now);
        Assert.True(enabled.IsEnabled);
        Assert.Null(enabled.DisabledReason);
        Assert.Equal(WebhookEndpoint.ByMerchant, enabled.Change(new EndpointRequest(null, null, null, EndpointStatus.Disabled), Now).DisabledReason);
    }

    [Fact]
    public void A_rotated_secret_signs_on_until_its_time_is_over()
    {
        var day = TimeSpan.FromDays(1);
        var rotated = Endpoint().Rotate("second", Now + day, Now).Value;
        Assert.Equal(["second", "first"], rotated.SecretsAt(Now).Select(s => s.Sealed));
        Assert.Equal(["second", "first"], rotated.SecretsAt(Now + day - TimeSpan.FromTicks(1)).Select(s => s.Sealed));
        Assert.Equal(["second"], rotated.SecretsAt(Now + day).Select(s => s.Sealed));

        var again = rotated.Rotate("third", Now + 3 * day, Now).Value;
        Assert.Equal(["third", "second", "first"], again.SecretsAt(Now).Select(s => s.Sealed));
        Assert.Equal(["third", "second"], again.SecretsAt(Now + day).Select(s => s.Sealed));
        Assert.Equal(["fourth"], again.Rotate("fourth", Now, Now).Value.Secrets.Select(s => s.Sealed));
    }

    [Fact]
    public void Only_so_many_secrets_sign_at_once()
    {
        var endpoint = Endpoint();
        for (var i = 1; i < WebhookEndpoint.MaxSecrets; i++) endpoint = endpoint.Rotate($"secret {i}", Now.AddDays(1), Now).Value;
        Assert.Equal("limit_exceeded", endpoint.Rotate("one more", Now.AddDays(1), Now).Error?.Code);
        Assert.Null(endpoint.Rotate("instead of all", Now, Now).Error);
    }

    private WebhookEndpoint Endpoint() => new()
    {
        Id = ids.New<WebhookEndpoint>(),
        Mode = Mode.Live,
        Url = "https://shop.example/",
        Events = ["charge.*"],
        Secrets = [new EndpointSecret("first")],
        CreatedAt = Now,
        UpdatedAt = Now,
    };

    private Event Happened(string type, DateTimeOffset at) => new(ids.New<Event>(), type, at, "req_1", default);
}
