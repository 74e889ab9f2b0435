using Azure.Data.Tables;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Operations;
using Harbour.Sandbox;
using Harbour.Tests.Foundation;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Ledger;

[Collection(nameof(UsesSandbox))]
public sealed class HeadAdvanceTests(SandboxFixture sandbox) : OwnHost(sandbox)
{
    private static readonly Book Demo = new(Seed.Demo.Value, Mode.Test);

    private readonly DisturbedStorage wire = new();

    protected override SandboxOptions Options => new()
    {
        Application = Harbour.Program.Create,
        FunctionClasses = typeof(Janitor).Assembly.GetTypes().Where(type => type != typeof(Janitor)),
        Configure = builder => builder.Services.WithoutWorkBesideRequests().AddSingleton<Action<TableClientOptions>>(wire.Configure),
    };

    [Fact]
    public async Task Advancing_reads_only_what_is_in_use()
    {
        // The heads, and the one gap that is everything.
        Assert.Equal((2, 0), await AdvanceAsync());

        await Shop.ChargeAsync();
        await Shop.AdvanceAsync("00:05:00");
        // The heads, the first posting in that gap, the postings of its account, the gap after it.
        Assert.Equal((4, 1), await AdvanceAsync());
        // The heads, the gap before, the postings, the gap after.
        Assert.Equal((4, 0), await AdvanceAsync());
        Assert.Equal(["head|merchant_available|HKD"], await HeadsAsync());
    }

    [Fact]
    public async Task An_account_that_got_its_first_posting_is_found_wherever_it_lies()
    {
        await Shop.ChargeAsync();
        await Shop.AdvanceAsync("00:05:00");
        await AdvanceAsync();
        await Shop.ChargeAsync(Api.Charge(currency: "USD"));
        await Shop.ChargeAsync(Api.Charge(currency: "CNY"));
        await Shop.AdvanceAsync("00:05:00");
        await AdvanceAsync();

        Assert.Equal(["head|merchant_available|CNY", "head|merchant_available|HKD", "head|merchant_available|USD"], await HeadsAsync());
        Assert.Equal((12194, 12399, 12214), (await Shop.AvailableAsync(), await Shop.AvailableAsync("USD"), await Shop.AvailableAsync("CNY")));
        // The heads, three accounts, and the one gap behind them.
        Assert.Equal((5, 0), await AdvanceAsync());
    }

    /// <returns>How many reads and transactions it took.</returns>
    private async Task<(int Reads, int Transactions)> AdvanceAsync()
    {
        wire.Reset();
        await Host.Services.GetRequiredService<LedgerBooks>().AdvanceAsync(Demo, "req_test");
        return (wire.Reads, wire.Transactions);
    }

    private Task<List<string>> HeadsAsync() =>
        Host.Services.GetRequiredService<Books>().ScanAsync(Demo, LedgerKeys.Heads, LedgerKeys.Heads + Books.Last).Select(row => row.RowKey).ToListAsync().AsTask();
}
