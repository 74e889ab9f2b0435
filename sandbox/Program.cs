using System.Runtime.InteropServices;

namespace Harbour.Sandbox;

/// <summary>Runs the sandbox until it is interrupted.</summary>
public static class Program
{
    public static async Task<int> Main()
    {
        var interrupted = new TaskCompletionSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);

        try
        {
            await using var host = await SandboxHost.StartAsync(SandboxOptions.FromEnvironment());
            Console.WriteLine(Banner(host.BaseAddress.GetLeftPart(UriPartial.Authority)));
            await interrupted.Task;
            Console.WriteLine("Stopping: requests end, then storage is written.");
            return 0;
        }
        catch (SandboxException e)
        {
            await Console.Error.WriteLineAsync($"The sandbox could not start: {e.Message}");
            return 1;
        }

        void Interrupt(PosixSignalContext signal)
        {
            signal.Cancel = true;
            interrupted.TrySetResult();
        }
    }

    private static string Banner(string address) =>
        $$"""

        Harbour's sandbox listens on {{address}}  (Ctrl+C stops it)

        The first charge:

          curl {{address}}/v1/charges \
            -H "Authorization: Bearer sk_test_harbour_demo" \
            -H "Idempotency-Key: order-1001" \
            -H "Content-Type: application/json" \
            -d '{"amount":12800,"currency":"HKD","payment_method":{"type":"card","token":"tok_visa"},"reference":"order-1001"}'

        """;
}
