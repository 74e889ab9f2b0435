using System.Net;
using System.Net.Sockets;
using System.Text;
using Harbour.Sandbox;

namespace Harbour.Tests.Sandbox;

[Collection(nameof(UsesSandbox))]
public sealed class HttpFunctionTests(SandboxFixture sandbox) : IAsyncLifetime, IDisposable
{
    private readonly Probe _probe = new();
    private SandboxHost _host = null!;
    private HttpClient _client = null!;

    public async Task InitializeAsync()
    {
        _host = await sandbox.StartHostAsync(TestApplication.Options(_probe, [typeof(HttpTestFunctions)]));
        _client = new HttpClient { BaseAddress = _host.BaseAddress };
    }

    public async Task DisposeAsync() => await _host.DisposeAsync();

    public void Dispose() => _client.Dispose();

    [Theory]
    [InlineData("GET", "/items/a%20b", 200, "GET a b GetItem True a b")]
    [InlineData("DELETE", "/items/a", 404, "nothing at 'items/a' for DELETE")]
    [InlineData("GET", "/items", 404, "nothing at 'items' for GET")]
    [InlineData("PUT", "/x/y/z", 404, "nothing at 'x/y/z' for PUT")]
    [InlineData("BREW", "/", 404, "nothing at '' for BREW")]
    [InlineData("GET", "/sandbox/clock/advance", 404, "nothing at 'sandbox/clock/advance' for GET")]
    public async Task Requests_reach_the_function_of_their_route_and_method_or_else_the_catch_all(string method, string path, int status, string body)
    {
        using var response = await _client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(body, await response.Content.ReadAsStringAsync());
        Assert.False(response.Headers.Contains("Server"));
    }

    [Fact]
    public async Task An_action_result_is_a_response_as_well()
    {
        using var response = await _client.PostAsync("/items", null);

        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        Assert.Equal("{\"made\":true}", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_result_becomes_the_response_only_after_the_whole_pipeline_has_returned()
    {
        await _client.GetAsync("/items/1");

        Assert.Equal(["before GetItem", "after, response started: False, result: ContentHttpResult"], _probe.Seen);
    }

    [Fact]
    public async Task A_middleware_may_put_another_result_in_its_place() =>
        Assert.Equal("replaced", await _client.GetStringAsync("/items/1?replace"));

    [Fact]
    public async Task A_middleware_that_answers_by_itself_keeps_the_function_from_running()
    {
        using var response = await _client.GetAsync("/throws?refuse");

        Assert.Equal(418, (int)response.StatusCode);
        Assert.Equal("refused", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task An_exception_that_leaves_the_pipeline_is_a_500_that_says_nothing()
    {
        using var response = await _client.GetAsync("/throws");

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Equal("", await response.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData(null, "1 http")]
    [InlineData("203.0.113.7", "203.0.113.7 https")]
    [InlineData("198.51.100.1, 203.0.113.7", "203.0.113.7 https")]
    public async Task The_client_is_the_last_one_that_a_proxy_on_loopback_names(string? forwarded, string expected)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/address");
        if (forwarded is not null)
        {
            request.Headers.Add("X-Forwarded-For", forwarded);
            request.Headers.Add("X-Forwarded-Proto", "https");
        }

        using var response = await _client.SendAsync(request);
        Assert.Contains(expected, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_large_body_is_left_to_the_application_to_judge()
    {
        using var response = await _client.PostAsync("/body", new ByteArrayContent(new byte[40_000_000]));

        Assert.Equal("40000000", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_body_that_breaks_HTTPs_own_rules_is_the_clients_mistake()
    {
        using var socket = new TcpClient("127.0.0.1", _host.BaseAddress.Port);
        var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes("POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"));

        using var reader = new StreamReader(stream);
        Assert.StartsWith("HTTP/1.1 400", await reader.ReadLineAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_listens_on_both_loopback_addresses_and_on_no_other()
    {
        var listening = System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners()
            .Where(e => e.Port == _host.BaseAddress.Port).Select(e => e.Address).ToList();

        Assert.Contains(IPAddress.Loopback, listening);
        Assert.All(listening, a => Assert.True(IPAddress.IsLoopback(a)));
        Assert.Equal(HttpStatusCode.OK, (await _client.GetAsync($"http://127.0.0.1:{_host.BaseAddress.Port}/now")).StatusCode);
    }
}
