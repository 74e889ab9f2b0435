using Azure.Data.Tables;
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
        // Without the janitor, the sweeper and the pump, whose own calls to storage would be counted as well: a request waits for none of them.
        await using var host = await sandbox.StartHostAsync(new SandboxOptions
        {
            Application = Harbour.Program.Create,
            FunctionClasses = typeof(Janitor).Assembly.GetTypes().Where(type => type != typeof(Janitor) && type != typeof(OutboxSweeper)),
            Configure = builder =>
            {
                builder.Services.AddSingleton<Action<TableClientOptions>>(wire.Configure);
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

        wire.Reset();
        var key = Api.NewKey();
        Assert.Equal(201, (await api.ChargeAsync(null, key)).Status);
        wire.Reset();
        Assert.Equal(201, (await api.ChargeAsync(null, key)).Status);
        Assert.Equal((1, 0), (wire.Reads, wire.Transactions));
    }
}
