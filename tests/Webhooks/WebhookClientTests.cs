using System.Net;
using System.Net.Sockets;
using System.Text;
using Harbour.Foundation;
using Harbour.Webhooks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;

namespace Harbour.Tests.Webhooks;

public sealed class WebhookClientTests : IAsyncLifetime
{
    private static readonly Id<Event> EventId = Id<Event>.Parse("evt_00000000000000000000000001");
    private Receiver receiver = null!;

    public async Task InitializeAsync() => receiver = await Receiver.StartAsync();

    public async Task DisposeAsync() => await receiver.DisposeAsync();

    [Fact]
    public async Task A_post_carries_the_headers_and_exactly_these_bytes()
    {
        using var client = Client();
        var response = await client.PostAsync(Request(receiver.Url("/hook?x=1")));
        Assert.Equal((200, null, null), (response.StatusCode, response.Error, response.Body));

        var received = Assert.Single(receiver.All);
        Assert.Equal(Encoding.UTF8.GetBytes("{\"名\":1}"), received.Bytes);
        Assert.Equal((EventId.Value, "1614265330", "v1,abc", "req_1"),
            (received.Id, received.Timestamp, received.Headers["webhook-signature"], received.Headers["X-Request-ID"]));
        Assert.Equal(("application/json; charset=utf-8", "Harbour-Webhooks/1.0"), (received.Headers["Content-Type"], received.Headers["User-Agent"]));
        Assert.DoesNotContain("traceparent", received.Headers.Keys);
    }

    [Theory]
    [InlineData(204, null)]
    [InlineData(301, "status_301")]
    [InlineData(404, "status_404")]
    [InlineData(503, "status_503")]
    public async Task The_status_is_the_outcome(int status, string? error)
    {
        receiver.Answer = (_, http) =>
        {
            http.Response.StatusCode = status;
            http.Response.Headers.Location = receiver.Url("/elsewhere");
            return Task.CompletedTask;
        };
        using var client = Client();
        var response = await client.PostAsync(Request(receiver.Url()));
        Assert.Equal((status, error), (response.StatusCode, response.Error));
        Assert.Empty(receiver.At("/elsewhere"));
    }

    [Fact]
    public async Task Of_a_long_answer_only_the_beginning_is_read_and_kept()
    {
        receiver.Answer = async (_, http) =>
        {
            try
            {
                for (var i = 0; i < 100_000; i++) await http.Response.WriteAsync(new string('x', 1024), http.RequestAborted);
            }
            catch (OperationCanceledException)
            {
            }
        };
        using var client = Client();
        var response = await client.PostAsync(Request(receiver.Url()));
        Assert.Equal((200, null, 1024), (response.StatusCode, response.Error, response.Body?.Length));
    }

    [Fact]
    public async Task Card_numbers_in_an_answer_are_masked()
    {
        receiver.AnswerWith(500, "no card 4242424242424242 here");
        using var client = Client();
        Assert.Equal("no card ****4242 here", (await client.PostAsync(Request(receiver.Url()))).Body);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_deadline_covers_the_answer_and_its_body(bool headersFirst)
    {
        receiver.Answer = async (_, http) =>
        {
            if (headersFirst) await http.Response.WriteAsync("begin");
            if (headersFirst) await http.Response.Body.FlushAsync();
            await Task.WhenAny(Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, http.RequestAborted));
        };
        using var client = Client(timeout: "0.3");
        var response = await client.PostAsync(Request(receiver.Url()));
        Assert.Equal((null, "timeout"), (response.StatusCode, response.Error));
        Assert.InRange(response.Took.TotalSeconds, 0.29, 5);
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_connection_refused()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        using var client = Client();
        Assert.Equal("connection_refused", (await client.PostAsync(Request($"http://127.0.0.1:{port}/"))).Error);
    }

    [Fact]
    public async Task A_server_that_speaks_no_TLS_is_tls_failed()
    {
        using var client = Client();
        Assert.Equal("tls_failed", (await client.PostAsync(Request(receiver.Url().Replace("http:", "https:", StringComparison.Ordinal)))).Error);
    }

    [Fact]
    public async Task A_name_without_an_address_is_host_not_found()
    {
        using var client = Client(resolve: (_, _) => throw new SocketException((int)SocketError.HostNotFound));
        Assert.Equal("host_not_found", (await client.PostAsync(Request("http://nowhere.example/"))).Error);
    }

    [Theory]
    [InlineData("http://127.0.0.1:{port}/")]
    [InlineData("http://localhost:{port}/")]
    [InlineData("http://[::ffff:127.0.0.1]:{port}/")]
    [InlineData("http://shop.example:{port}/")]
    public async Task Live_mode_never_connects_to_loopback(string url)
    {
        using var client = Client(resolve: (_, _) => Task.FromResult(new[] { IPAddress.Loopback }));
        var address = url.Replace("{port}", $"{receiver.Address.Port}", StringComparison.Ordinal);
        // The same address in test mode first: a connection that it leaves open must not serve live mode.
        Assert.Null((await client.PostAsync(Request(address))).Error);
        Assert.Equal("address_refused", (await client.PostAsync(Request(address) with { Mode = Mode.Live })).Error);
        Assert.Single(receiver.All);
    }

    [Fact]
    public async Task One_forbidden_address_among_several_is_enough()
    {
        using var client = Client(resolve: (_, _) => Task.FromResult(new[] { IPAddress.Parse("8.8.8.8"), IPAddress.Parse("169.254.169.254") }));
        Assert.Equal("address_refused", (await client.PostAsync(Request("http://shop.example/"))).Error);
    }

    [Fact]
    public async Task The_address_that_was_checked_is_the_one_that_is_connected_to()
    {
        var asked = 0;
        // A name that is harmless when it is looked at and something else a moment later.
        using var client = Client(resolve: (_, _) => Task.FromResult(new[] { asked++ == 0 ? IPAddress.Loopback : IPAddress.Parse("169.254.169.254") }));
        Assert.Null((await client.PostAsync(Request($"http://shop.example:{receiver.Address.Port}/"))).Error);
        Assert.Equal((1, 1), (asked, receiver.All.Count));
        Assert.Equal($"shop.example:{receiver.Address.Port}", receiver.All[0].Headers["Host"]);
    }

    private static WebhookRequest Request(string url) =>
        new(Mode.Test, url, EventId, "req_1", "1614265330", "v1,abc", Encoding.UTF8.GetBytes("{\"名\":1}"));

    private static WebhookClient Client(string timeout = "10", ResolveHost? resolve = null)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create<string, string?>("Webhooks:TimeoutSeconds", timeout)]).Build();
        return new WebhookClient(TargetGuardTests.Guard(allowLocal: true), configuration, TimeProvider.System, resolve);
    }
}
