using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Harbour.Foundation;
using Harbour.Sandbox.Providers;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Providers;

/// <summary>The simulated Stripe itself, over raw HTTP: what it keeps, what it repeats, and how it fails.</summary>
public sealed class StripeSimulatorTests : IAsyncLifetime
{
    private static readonly HttpClient Http = new();

    private readonly string directory = Directory.CreateTempSubdirectory("harbour-stripe-").FullName;
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 23, 2, 0, 0, TimeSpan.Zero));
    private StripeSimulator stripe = null!;

    private string JournalFile => Path.Combine(directory, "stripe.journal");

    public async Task InitializeAsync() => stripe = await StripeSimulator.StartAsync(directory, time);

    public async Task DisposeAsync()
    {
        await stripe.DisposeAsync();
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task What_was_answered_is_there_after_a_restart()
    {
        var (_, taken) = await PostAsync("payment_intents", "k1", Card("tok_visa"));
        var (_, authorized) = await PostAsync("payment_intents", "k2", Card("tok_visa"), ("capture_method", "manual"));
        await PostAsync($"payment_intents/{Id(authorized)}/capture", "k3", ("amount_to_capture", "1000"));
        var (_, refund) = await PostAsync("refunds", "k4", ("payment_intent", Id(taken)), ("amount", "500"));
        var before = stripe.Payments();

        await RestartAsync();

        Assert.Equal(before, stripe.Payments());
        Assert.Equal((HttpStatusCode.OK, taken), await PostAsync("payment_intents", "k1", Card("tok_visa")));
        Assert.Equal((HttpStatusCode.OK, refund), await PostAsync("refunds", "k4", ("payment_intent", Id(taken)), ("amount", "500")));
        Assert.Equal(refund, (await GetAsync($"refunds/{Id(refund)}")).Body);
        var (status, _) = await PostAsync("refunds", "k5", ("payment_intent", Id(taken)), ("amount", "12301"));
        Assert.Equal(HttpStatusCode.BadRequest, status);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public async Task A_torn_last_line_of_the_journal_is_cut_off_and_the_rest_kept(int torn)
    {
        await PostAsync("payment_intents", "k1", Card("tok_visa"));
        await PostAsync("payment_intents", "k2", Card("tok_visa"));
        await stripe.DisposeAsync();
        using (var file = new FileStream(JournalFile, FileMode.Open)) file.SetLength(file.Length - torn);
        stripe = await StripeSimulator.StartAsync(directory, time);

        Assert.Single(stripe.Payments());
        await PostAsync("payment_intents", "k2", Card("tok_visa"));
        await RestartAsync();
        Assert.Equal(2, stripe.Payments().Count);
    }

    [Fact]
    public async Task A_journal_that_is_damaged_in_the_middle_is_not_believed()
    {
        await PostAsync("payment_intents", "k1", Card("tok_visa"));
        await stripe.DisposeAsync();
        await File.WriteAllTextAsync(JournalFile, "nonsense\n" + await File.ReadAllTextAsync(JournalFile));
        await Assert.ThrowsAsync<InvalidDataException>(() => StripeSimulator.StartAsync(directory, time));
    }

    [Fact]
    public async Task A_request_id_is_on_every_answer_and_only_secret_keys_come_in()
    {
        foreach (var key in new[] { null, "pk_test_x", "sk_x" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(stripe.BaseAddress, "/v1/payment_intents"));
            if (key is not null) request.Headers.Authorization = new("Bearer", key);
            using var answer = await Http.SendAsync(request);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            Assert.StartsWith("req_", answer.Headers.GetValues("Request-Id").Single(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_key_is_for_one_request_for_a_day()
    {
        var first = await PostAsync("payment_intents", "k1", Card("tok_declined"));
        Assert.Equal(HttpStatusCode.PaymentRequired, first.Status);
        Assert.Equal(first, await PostAsync("payment_intents", "k1", Card("tok_declined")));

        var (status, body) = await PostAsync("payment_intents", "k1", Card("tok_visa"));
        Assert.Equal((HttpStatusCode.BadRequest, "idempotency_error"), (status, ErrorOf(body, "type")));
        Assert.Equal(HttpStatusCode.OK, (await PostAsync("payment_intents", "k1", "sk_live_x", Card("tok_visa"))).Status);

        time.Advance(TimeSpan.FromHours(24));
        Assert.NotEqual(first, await PostAsync("payment_intents", "k1", Card("tok_declined")));
    }

    [Fact]
    public async Task A_request_that_was_not_begun_leaves_its_key_free()
    {
        Assert.Equal(HttpStatusCode.TooManyRequests, (await PostAsync("payment_intents", "k1", Card("tok_provider_busy"))).Status);
        Assert.Equal(HttpStatusCode.BadRequest, (await PostAsync("payment_intents", "k1", Card("tok_nobody"))).Status);
        Assert.Equal(HttpStatusCode.OK, (await PostAsync("payment_intents", "k1", Card("tok_visa"))).Status);
    }

    [Theory]
    [InlineData("hkd", 399, "amount_too_small")]
    [InlineData("hkd", 400, null)]
    [InlineData("usd", 49, "amount_too_small")]
    [InlineData("usd", 50, null)]
    [InlineData("cny", 399, "amount_too_small")]
    [InlineData("hkd", 100000000, "amount_too_large")]
    public async Task Amounts_have_limits(string currency, long amount, string? code)
    {
        var (status, body) = await PostAsync("payment_intents", null, ("amount", $"{amount}"), ("currency", currency), ("confirm", "true"), ("payment_method", "pm_card_visa"));
        Assert.Equal(code is null ? HttpStatusCode.OK : HttpStatusCode.BadRequest, status);
        if (code is not null) Assert.Equal(code, ErrorOf(body, "code"));
    }

    [Fact]
    public async Task A_payment_that_is_not_confirmed_takes_nothing_until_it_is()
    {
        var (_, waiting) = await PostAsync("payment_intents", "k1", ("amount", "400"), ("currency", "hkd"), ("payment_method", "pm_card_visa"));
        Assert.Equal(0, Assert.Single(stripe.Payments()).AmountCaptured);
        await PostAsync($"payment_intents/{Id(waiting)}/confirm", "k2");
        Assert.Equal(("succeeded", 400L), (stripe.Payments()[0].Status, stripe.Payments()[0].AmountCaptured));
    }

    [Fact]
    public async Task A_recurring_card_works_with_its_owner_present_then_fails_as_often_as_it_says_per_merchant()
    {
        var token = Card("tok_recurring_fails_2");
        Assert.Equal(HttpStatusCode.OK, (await PostAsync("payment_intents", "k0", token)).Status);
        var statuses = new List<int>();
        for (var i = 1; i <= 4; i++)
        {
            if (i == 2) await RestartAsync();
            statuses.Add((int)(await PostAsync("payment_intents", $"k{i}", token, ("off_session", "true"), ("metadata[harbour_merchant]", "mch_one"))).Status);
        }

        Assert.Equal([402, 402, 200, 200], statuses);
        var other = await PostAsync("payment_intents", "k9", token, ("off_session", "true"), ("metadata[harbour_merchant]", "mch_two"));
        Assert.Equal(HttpStatusCode.PaymentRequired, other.Status);
    }

    [Fact]
    public async Task What_is_stored_and_what_failed_on_it_is_there_after_a_restart()
    {
        var (_, customer) = await PostAsync("customers", "c1");
        var (_, first) = await PostAsync("payment_intents", "k0", Card("tok_recurring_fails_2"), ("customer", Id(customer)), ("setup_future_usage", "off_session"));
        var (_, setup) = await PostAsync("setup_intents", "s0", ("customer", Id(customer)), ("confirm", "true"), ("payment_method_data[card][token]", "tok_recurring_fails_2"));
        await RestartAsync();

        var (one, two) = (Field(first, "payment_method"), Method(setup));
        var statuses = new List<int>();
        for (var i = 1; i <= 4; i++)
        {
            if (i == 2) await RestartAsync();
            statuses.Add((int)(await OffSessionAsync($"k{i}", Id(customer), one)).Status);
            // Asked again under its key, a decline is told again and does not count.
            Assert.Equal(statuses[^1], (int)(await OffSessionAsync($"k{i}", Id(customer), one)).Status);
        }

        Assert.Equal([402, 402, 200, 200], statuses);
        // The same card, stored a second time, counts for itself.
        Assert.Equal(HttpStatusCode.PaymentRequired, (await OffSessionAsync("k9", Id(customer), two)).Status);
        await PostAsync($"payment_methods/{one}/detach", "d1");
        await PostAsync("refunds", "r1", ("payment_intent", Id(first)));
        await RestartAsync();
        Assert.Equal(HttpStatusCode.BadRequest, (await OffSessionAsync("k10", Id(customer), one)).Status);
    }

    [Fact]
    public async Task A_risky_card_is_marked_as_such()
    {
        var (_, body) = await PostAsync("payment_intents", "k1", Card("tok_risky"), ("expand[0]", "latest_charge"));
        using var json = JsonDocument.Parse(body);
        var outcome = json.RootElement.GetProperty("latest_charge").GetProperty("outcome");
        Assert.Equal("highest", outcome.GetProperty("risk_level").GetString());
    }

    [Fact]
    public async Task Pages_of_a_list_hold_every_payment_once_newest_first()
    {
        for (var i = 0; i < 7; i++)
        {
            await PostAsync("payment_intents", $"k{i}", Card("tok_visa"));
            time.Advance(TimeSpan.FromSeconds(10));
        }

        var seen = new List<string>();
        for (var more = true; more;)
        {
            var (_, page) = await GetAsync("payment_intents?limit=3" + (seen.Count == 0 ? "" : $"&starting_after={seen[^1]}"));
            using var json = JsonDocument.Parse(page);
            seen.AddRange(json.RootElement.GetProperty("data").EnumerateArray().Select(p => p.GetProperty("id").GetString()!));
            more = json.RootElement.GetProperty("has_more").GetBoolean();
        }

        Assert.Equal(stripe.Payments().Select(payment => payment.Reference).Reverse(), seen);
        var from = new DateTimeOffset(2026, 11, 23, 2, 0, 20, TimeSpan.Zero).ToUnixTimeSeconds();
        using var some = JsonDocument.Parse((await GetAsync($"payment_intents?created[gte]={from}&created[lte]={from + 20}")).Body);
        Assert.Equal(3, some.RootElement.GetProperty("data").GetArrayLength());
    }

    [Fact]
    public async Task Errors_strike_at_their_rate_before_and_after_the_payment_is_taken()
    {
        await stripe.SetFaultsAsync(new Faults(ErrorRate: 0.5));
        var failed = 0;
        for (var i = 0; i < 100; i++)
            if ((await PostAsync("payment_intents", $"k{i}", Card("tok_visa"))).Status == HttpStatusCode.InternalServerError) failed++;

        Assert.InRange(failed, 30, 70);
        var taken = stripe.Payments().Count;
        Assert.InRange(taken, 100 - failed + 1, 99);
    }

    [Fact]
    public async Task Down_it_refuses_connections_and_comes_back_at_the_same_address_with_all_it_knew()
    {
        var (_, before) = await PostAsync("payment_intents", "k1", Card("tok_visa"));
        var address = stripe.BaseAddress;
        for (var i = 0; i < 3; i++)
        {
            await stripe.SetFaultsAsync(new Faults(Down: true));
            var refused = await Assert.ThrowsAsync<HttpRequestException>(() => GetAsync("payment_intents"));
            Assert.Equal(HttpRequestError.ConnectionError, refused.HttpRequestError);
            await stripe.SetFaultsAsync(new Faults());
            Assert.Equal((HttpStatusCode.OK, before), await PostAsync("payment_intents", "k1", Card("tok_visa")));
        }

        Assert.Equal(address, stripe.BaseAddress);
    }

    [Fact]
    public async Task A_second_request_with_the_key_of_one_under_way_is_told_so()
    {
        await stripe.SetFaultsAsync(new Faults(LatencyMs: 1000));
        var both = await Task.WhenAll(PostAsync("payment_intents", "k1", Card("tok_visa")), PostAsync("payment_intents", "k1", Card("tok_visa")));
        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.Conflict], both.Select(answer => answer.Status).Order());
        Assert.Single(stripe.Payments());
    }

    private static (string, string)[] Card(string token) =>
    [
        ("amount", "12800"), ("currency", "hkd"), ("confirm", "true"),
        ("payment_method_data[type]", "card"), ("payment_method_data[card][token]", token),
    ];

    private async Task RestartAsync()
    {
        await stripe.DisposeAsync();
        stripe = await StripeSimulator.StartAsync(directory, time);
    }

    private Task<(HttpStatusCode Status, string Body)> PostAsync(string path, string? key, (string, string)[] form, params (string, string)[] more) =>
        PostAsync(path, key, "sk_test_x", [.. form, .. more]);

    private Task<(HttpStatusCode Status, string Body)> PostAsync(string path, string? key, params (string, string)[] form) =>
        PostAsync(path, key, "sk_test_x", form);

    private async Task<(HttpStatusCode Status, string Body)> PostAsync(string path, string? key, string secret, (string Name, string Value)[] form)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(stripe.BaseAddress, "/v1/" + path));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", secret);
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        request.Content = new FormUrlEncodedContent(form.Select(field => KeyValuePair.Create(field.Name, field.Value)));
        using var answer = await Http.SendAsync(request);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    private async Task<(HttpStatusCode Status, string Body)> GetAsync(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(stripe.BaseAddress, "/v1/" + path));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", "sk_test_x");
        using var answer = await Http.SendAsync(request);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    private Task<(HttpStatusCode Status, string Body)> OffSessionAsync(string key, string customer, string method) => PostAsync(
        "payment_intents", key, ("amount", "12800"), ("currency", "hkd"), ("confirm", "true"), ("off_session", "true"), ("customer", customer), ("payment_method", method));

    private static string Method(string body)
    {
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty("payment_method").GetProperty("id").GetString()!;
    }

    private static string Id(string body) => Field(body, "id");

    private static string Field(string body, string name)
    {
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty(name).GetString()!;
    }

    private static string? ErrorOf(string body, string field)
    {
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty("error").GetProperty(field).GetString();
    }
}
