using DurableTask.Core.Exceptions;
using Harbour.Foundation;
using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask;
using Microsoft.DurableTask.Client;
using Microsoft.Extensions.Logging;

namespace Harbour.Subscriptions;

/// <summary>Which subscription an orchestration looks after.</summary>
public sealed record RenewalInput(string Merchant, Mode Mode, string Subscription);

/// <summary>
/// One eternal orchestration for each subscription, whose id is the subscription's: do what is due, wait for what is due next or for
/// word of a change, begin anew. What is due is the rules' to say (<see cref="Renewal"/>, <see cref="Invoice"/>); the orchestration
/// holds nothing that could differ from the books, so one that was lost is simply started again.
/// </summary>
public sealed class RenewalFlow(RenewalOperations renewals, Ids ids, ILogger<RenewalFlow> log)
{
    /// <summary>The event that wakes an orchestration: its subscription was paused, resumed, cancelled or changed.</summary>
    public const string Changed = "changed";

    private static readonly TaskOptions Retries = TaskOptions.FromRetryPolicy(
        new RetryPolicy(maxNumberOfAttempts: 5, firstRetryInterval: TimeSpan.FromSeconds(5), backoffCoefficient: 3));

    /// <summary>The least time between two looks: the clocks of two machines differ, and a loop between them must not spin.</summary>
    private static readonly TimeSpan Breath = TimeSpan.FromSeconds(1);

    /// <summary>How long an orchestration waits whose steps failed again and again. It never gives up: money is due.</summary>
    private static readonly TimeSpan AfterTrouble = TimeSpan.FromMinutes(10);

    [Function(nameof(RenewalFlow))]
    public static async Task Run([OrchestrationTrigger] TaskOrchestrationContext context)
    {
        var input = context.GetInput<RenewalInput>()!;
        var state = await AdvanceAsync(context, input);
        context.SetCustomStatus(state);
        if (state.Over) return;

        using var either = new CancellationTokenSource();
        var changed = context.WaitForExternalEvent<string>(Changed);
        if (state.At is not { } at) await changed;
        else await Task.WhenAny(changed, context.CreateTimer(Later(at.UtcDateTime, context.CurrentUtcDateTime + Breath), either.Token));
        either.Cancel();
        context.ContinueAsNew(input);
    }

    [Function(nameof(AdvanceSubscription))]
    public async Task<RenewalState> AdvanceSubscription([ActivityTrigger] RenewalInput input)
    {
        var requestId = "req_" + ids.NewKey();
        using var scope = log.BeginScope(new Dictionary<string, object>
        {
            ["RequestId"] = requestId,
            ["Merchant"] = input.Merchant,
            ["Mode"] = input.Mode,
            ["Subscription"] = input.Subscription,
        });
        return await renewals.AdvanceAsync(new Book(input.Merchant, input.Mode), Id<Subscription>.Parse(input.Subscription), requestId);
    }

    /// <summary>Sees to it that a subscription's orchestration runs and looks at it.</summary>
    /// <param name="startAt">When a new orchestration begins, so that who starts it can take the first steps; at once if not said.</param>
    public static async Task WakeAsync(DurableTaskClient durable, Book book, Id<Subscription> id, DateTimeOffset? startAt = null)
    {
        if (await durable.GetInstanceAsync(id.Value) is not { IsCompleted: false })
        {
            try
            {
                await durable.ScheduleNewOrchestrationInstanceAsync(
                    nameof(RenewalFlow), new RenewalInput(book.Merchant, book.Mode, id.Value), new StartOrchestrationOptions(id.Value, startAt));
                return;
            }
            catch (OrchestrationAlreadyExistsException)
            {
                // Another call started it just now: then it is woken like any other.
            }
        }

        await durable.RaiseEventAsync(id.Value, Changed, id.Value);
    }

    private static async Task<RenewalState> AdvanceAsync(TaskOrchestrationContext context, RenewalInput input)
    {
        try
        {
            return await context.CallActivityAsync<RenewalState>(nameof(AdvanceSubscription), input, Retries);
        }
        catch (TaskFailedException)
        {
            return new RenewalState(new DateTimeOffset(context.CurrentUtcDateTime, TimeSpan.Zero) + AfterTrouble);
        }
    }

    private static DateTime Later(DateTime a, DateTime b) => a > b ? a : b;
}
