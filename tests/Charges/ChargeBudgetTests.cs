using Azure.Data.Tables;
using Harbour.Access;
using Harbour.Foundation;
using Harbour.Operations;
using Harbour.Sandbox;
using Harbour.Tests.Foundation;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Charges;

[Collection(nameof(UsesSandbox))]
public sealed class ChargeBudgetTests(SandboxFixture sandbox)
{
    [Fact]
    public async Task A_charge_costs_one_round_of_reads_and_two_transactions()
    {
        var wire = new DisturbedStorage();
        // Without what works beside the requests, whose own calls to storage would be counted as well: a request waits for none of them.
        await using var host = await sandbox.StartHostAsync(new SandboxOptions
        {
            Application = Harbour.Program.Create,
            FunctionClasses = typeof(Janitor).Assembly.GetTypes().Where(type => type != typeof(Janitor) && type != typeof(OutboxSweeper)),
            Configure = builder =>
            {
                builder.Services.WithoutWorkBesideRequests().AddSingleton<Action<TableClientOptions>>(wire.Configure);
                builder.Configuration.AddInMemoryCollection([new("Outbox:Pump", "false")]);
            },
        });
        using var http = new HttpClient { BaseAddress = host.BaseAddress };
        var api = new Api(http);
        Assert.Equal(201, (await api.ChargeAsync()).Status);

        // Warm: the key's claim is read, the two transactions are written, and nothing else is asked of storage. The minute's
        // activity marker is written beside the read, and only by the first charge of a minute.
        await api.AdvanceAsync("00:02:00");
        wire.Reset();
        Assert.Equal(201, (await api.ChargeAsync()).Status);
        Assert.Equal((1, 2), (wire.Reads, wire.Transactions));
        Assert.InRange(wire.Others, 0, 1);

        // On a mandate, that is read beside the claim, in the same round.
        var customer = (await api.PostAsync("/v1/customers", new { })).Id;
        var first = await api.ChargeAsync(new { amount = 5000, currency = "HKD", customer, setup_mandate = true, payment_method = new { type = "card", token = "tok_visa" } });
        wire.Reset();
        Assert.Equal(201, (await api.ChargeAsync(new { amount = 5000, currency = "HKD", mandate = first.Body["mandate"]!.ToString() })).Status);
        Assert.Equal((2, 2), (wire.Reads, wire.Transactions));

        wire.Reset();
        var key = Api.NewKey();
        Assert.Equal(201, (await api.ChargeAsync(null, key)).Status);
        wire.Reset();
        Assert.Equal(201, (await api.ChargeAsync(null, key)).Status);
        Assert.Equal((1, 0), (wire.Reads, wire.Transactions));

        // What the requests left in memory for their log is one transaction for all of them, beside them.
        var log = host.Services.GetRequiredService<RequestLog>();
        await log.WritePendingAsync();
        Assert.Equal((1, 1), (wire.Reads, wire.Transactions));
        await log.WritePendingAsync();
        Assert.Equal(1, wire.Transactions);
    }
}
