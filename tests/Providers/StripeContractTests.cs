using Harbour.Providers;
using Harbour.Sandbox.Providers;

namespace Harbour.Tests.Providers;

/// <summary>The contract of all providers, kept by Stripe.</summary>
public sealed class StripeContractTests : ProviderContract
{
    private StripeRig rig = null!;

    protected override IProvider Provider => rig.Provider;
    protected override IProvider Impatient => rig.Impatient;
    protected override TimeProvider Time => rig.Time;
    protected override string Approves => "tok_visa";
    protected override string Declines => "tok_declined";
    protected override string TakesAndHangs => "tok_timeout";
    protected override string Hangs => "tok_timeout_not_charged";
    protected override string DeclinesOffSessionOnce => "tok_recurring_fails_1";
    protected override string TakesAndFails => "tok_provider_error";
    protected override string Busy => "tok_provider_busy";

    protected override IReadOnlyList<SimulatedPayment> Taken() => rig.Simulator.Payments();
    protected override Task GoDownAsync(bool down) => rig.Simulator.SetFaultsAsync(new Faults(Down: down));

    public override async Task InitializeAsync() => rig = await StripeRig.StartAsync();
    public override async Task DisposeAsync() => await rig.DisposeAsync();
}
