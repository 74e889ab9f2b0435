using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Harbour.Sandbox;

namespace Harbour.Tests.Sandbox;

[Collection(nameof(UsesSandbox))]
public sealed class ClockTests(SandboxFixture sandbox)
{
    [Theory]
    [InlineData("00:00:00", 0)]
    [InlineData("00:00:01", 1)]
    [InlineData("0:05:00", 300)]
    [InlineData("26:00:00", 26 * 3600)]
    [InlineData("72:00:00", 72 * 3600)]
    [InlineData("740:00:00", 740 * 3600)]
    [InlineData("000740:59:59", (740 * 3600) + 3599)]
    [InlineData("876600:00:00", 876600L * 3600)]
    public void A_duration_is_hours_minutes_and_seconds(string text, long seconds)
    {
        Assert.True(ClockEndpoints.TryParseDuration(text, out var duration));
        Assert.Equal(TimeSpan.FromSeconds(seconds), duration);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("72")]
    [InlineData("72:00")]
    [InlineData("1.02:00:00")]
    [InlineData("-01:00:00")]
    [InlineData("01:60:00")]
    [InlineData("01:00:60")]
    [InlineData("01:0:00")]
    [InlineData("01:00:00.5")]
    [InlineData(" 01:00:00")]
    [InlineData("01:00:00\n")]
    [InlineData("٠١:00:00")]
    [InlineData("876600:00:01")]
    [InlineData("99999999999999999999:00:00")]
    public void Anything_else_is_no_duration(string? text) => Assert.False(ClockEndpoints.TryParseDuration(text, out _));

    [Theory]
    [InlineData("""{"by":"72"}""")]
    [InlineData("""{"by":72}""")]
    [InlineData("""{"for":"72:00:00"}""")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("")]
    public async Task A_request_that_says_no_duration_is_refused_as_a_problem(string body)
    {
        using var response = await sandbox.Client.PostAsync("/sandbox/clock/advance", new StringContent(body));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
    }

    [Fact]
    public void It_never_goes_back_even_if_the_machines_clock_does()
    {
        var machine = new SetTime { Now = new DateTimeOffset(2026, 3, 1, 0, 0, 0, TimeSpan.Zero) };
        var clock = new MovableClock(machine);
        var first = clock.GetUtcNow();

        machine.Now -= TimeSpan.FromHours(1);
        Assert.Equal(first, clock.GetUtcNow());

        clock.Set(clock.PositionAt(first.AddHours(2)));
        clock.Set(clock.PositionAt(first.AddHours(1)));
        Assert.Equal(first.AddHours(2), clock.GetUtcNow());

        machine.Now += TimeSpan.FromMinutes(1);
        Assert.Equal(first.AddHours(2).AddMinutes(1), clock.GetUtcNow());
    }

    [Fact]
    public async Task It_is_told_and_moved_in_Hong_Kong_time()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        using var client = new HttpClient { BaseAddress = host.BaseAddress };
        var before = await NowAsync(client);

        using var response = await client.PostAsJsonAsync("/sandbox/clock/advance", new { by = "26:00:00" });
        var answer = await response.Content.ReadFromJsonAsync<Dictionary<string, string>>();

        Assert.Equal(["from", "now"], answer!.Keys);
        Assert.All(answer.Values, v => Assert.Matches(@"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00\z", v));
        var (from, now) = (Parse(answer["from"]), Parse(answer["now"]));
        Assert.InRange(from, before, before.AddMinutes(1));
        Assert.InRange(now - from, TimeSpan.FromHours(26), TimeSpan.FromHours(26) + TimeSpan.FromMinutes(1));
        Assert.True(await NowAsync(client) >= now);
    }

    [Fact]
    public async Task It_goes_on_from_where_it_was_after_a_restart()
    {
        var storage = sandbox.NewStorage();
        DateTimeOffset before;
        await using (var host = await sandbox.StartHostAsync(new SandboxOptions { Storage = storage }))
        {
            await AdvanceAsync(host, "740:00:00");
            before = host.Clock.GetUtcNow();
        }

        await using var again = await sandbox.StartHostAsync(new SandboxOptions { Storage = storage });
        Assert.InRange(again.Clock.GetUtcNow(), before, before.AddMinutes(1));
    }

    [Fact]
    public async Task It_moves_only_when_no_invocation_is_under_way()
    {
        var probe = new Probe();
        await using var host = await sandbox.StartHostAsync(TestApplication.Options(probe, [typeof(HttpTestFunctions)]));
        using var client = new HttpClient { BaseAddress = host.BaseAddress };
        var before = host.Clock.GetUtcNow();

        var held = client.GetStringAsync("/held");
        await Eventually.True(() => probe.Count("held") == 1, "the invocation runs");
        var advance = client.PostAsJsonAsync("/sandbox/clock/advance", new { by = "50:00:00" });
        // The invocation that comes meanwhile is held back for a while, then let through, since the one that runs might wait for it.
        var now = DateTimeOffset.Parse(await client.GetStringAsync("/now"), CultureInfo.InvariantCulture);

        Assert.False(advance.IsCompleted);
        Assert.InRange(now, before, before.AddMinutes(1));

        probe.Door.SetResult();
        Assert.Equal("0", await held);
        Assert.Equal(HttpStatusCode.OK, (await advance).StatusCode);
        Assert.True(host.Clock.GetUtcNow() >= before.AddHours(50));
    }

    [Fact]
    public async Task Two_advances_at_once_are_made_one_after_the_other()
    {
        await using var host = await sandbox.StartHostAsync(new SandboxOptions());
        var before = host.Clock.GetUtcNow();

        await Task.WhenAll(AdvanceAsync(host, "30:00:00"), AdvanceAsync(host, "40:00:00"));

        Assert.InRange(host.Clock.GetUtcNow() - before, TimeSpan.FromHours(70), TimeSpan.FromHours(71));
    }

    [Fact]
    public async Task A_second_host_lives_by_the_clock_and_the_settings_of_the_first()
    {
        await using var first = await sandbox.StartHostAsync(TestApplication.Options(new Probe(), [typeof(HttpTestFunctions)]));
        var options = TestApplication.Options(new Probe(), [typeof(HttpTestFunctions)]) with { Storage = first.StorageConnectionString, Role = SandboxRole.Http };
        await using var second = await sandbox.StartHostAsync(options);
        using var client = new HttpClient { BaseAddress = second.BaseAddress };

        await AdvanceAsync(first, "100:00:00");
        var now = DateTimeOffset.Parse(await client.GetStringAsync("/now"), CultureInfo.InvariantCulture);
        Assert.InRange(now - first.Clock.GetUtcNow(), TimeSpan.FromMinutes(-1), TimeSpan.FromMinutes(1));

        using var refused = await client.PostAsJsonAsync("/sandbox/clock/advance", new { by = "01:00:00" });
        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);

        string? Setting(SandboxHost host, string name) =>
            ((Microsoft.Extensions.Configuration.IConfiguration)host.Services.GetService(typeof(Microsoft.Extensions.Configuration.IConfiguration))!)[name];
        foreach (var name in new[] { "Public:BaseUrl", "Secrets:api-key-pepper", "Secrets:oauth-signing-key", "Storage:ConnectionString" })
        {
            Assert.NotNull(Setting(first, name));
            Assert.Equal(Setting(first, name), Setting(second, name));
        }
    }

    private static async Task AdvanceAsync(SandboxHost host, string by)
    {
        using var client = new HttpClient { BaseAddress = host.BaseAddress };
        using var response = await client.PostAsJsonAsync("/sandbox/clock/advance", new { by });
        response.EnsureSuccessStatusCode();
    }

    private static async Task<DateTimeOffset> NowAsync(HttpClient client) =>
        Parse((await client.GetFromJsonAsync<JsonElement>("/sandbox/clock")).GetProperty("now").GetString()!);

    private static DateTimeOffset Parse(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);

    private sealed class SetTime : TimeProvider
    {
        public DateTimeOffset Now { get; set; }

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
