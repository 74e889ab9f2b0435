using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Harbour.Sandbox;
using Microsoft.Azure.Functions.Worker;
using Microsoft.DurableTask;

namespace Harbour.Tests.Conventions;

/// <summary>
/// An orchestrator is run again from its start at every step, so it may touch nothing but its context. What the compiler made of
/// it is read here, call by call: the state machine, the lambdas, and whatever of Harbour it calls.
/// </summary>
public sealed class OrchestratorConventionTests
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    /// <summary>What gives another answer in a replay, or goes on in another thread. A whole type, or a member of one.</summary>
    private static readonly string[] Banned =
    [
        "System.DateTime.get_Now", "System.DateTime.get_UtcNow", "System.DateTime.get_Today", "System.DateTimeOffset.get_Now", "System.DateTimeOffset.get_UtcNow",
        "System.Guid.NewGuid", "System.Guid.CreateVersion7", "System.Random", "System.Security.Cryptography.RandomNumberGenerator", "System.TimeProvider",
        "System.Diagnostics.Stopwatch", "System.Environment", "System.Threading.Thread", "System.Threading.ThreadPool", "System.Threading.Timer",
        "System.Threading.PeriodicTimer", "System.Threading.SemaphoreSlim", "System.Threading.CancellationTokenSource.CancelAfter", "System.Threading.CancellationTokenSource.CancelAsync",
        "System.Threading.Tasks.Task.Delay", "System.Threading.Tasks.Task.Run", "System.Threading.Tasks.Task.Yield", "System.Threading.Tasks.Task.ConfigureAwait",
        "System.Threading.Tasks.Task`1.ConfigureAwait", "System.Threading.Tasks.Task.ContinueWith", "System.Threading.Tasks.Task`1.ContinueWith",
        "System.Threading.Tasks.Task.Wait", "System.Threading.Tasks.Task.WaitAsync", "System.Threading.Tasks.Task`1.WaitAsync", "System.Threading.Tasks.TaskFactory", "System.Threading.Tasks.Parallel",
    ];

    /// <summary>What reaches out of the process.</summary>
    private static readonly string[] BannedNamespaces = ["System.Net", "System.IO", "System.Data", "Azure.", "Microsoft.Extensions.Configuration", "Microsoft.Extensions.DependencyInjection", "Microsoft.DurableTask.Client"];

    [Fact]
    public void Orchestrators_touch_nothing_but_their_context() =>
        Assert.Empty(typeof(SandboxOptions).Assembly.GetTypes().Where(t => t.Namespace?.StartsWith("Harbour", StringComparison.Ordinal) == true).SelectMany(Violations));

    [Theory]
    [InlineData(nameof(Bad.ReadsTheClock), "System.DateTime.get_UtcNow")]
    [InlineData(nameof(Bad.Sleeps), "System.Threading.Tasks.Task.Delay")]
    [InlineData(nameof(Bad.LeavesItsThread), "System.Threading.Tasks.Task.ConfigureAwait")]
    [InlineData(nameof(Bad.AsksTheWeb), "System.Net.Http.HttpClient.GetStringAsync")]
    [InlineData(nameof(Bad.MakesAnIdInALambda), "System.Guid.NewGuid")]
    [InlineData(nameof(Bad.MakesAnIdElsewhere), "System.Guid.NewGuid")]
    [InlineData(nameof(Bad.TakesMore), "takes more than its context")]
    [InlineData(nameof(Bad.IsNoStatic), "is not static")]
    [InlineData(nameof(Bad.RemembersInAStatic), "writes static field")]
    public void The_convention_finds_what_it_is_there_for(string orchestrator, string violation) =>
        Assert.Contains(Violations(typeof(Bad)), v => v.StartsWith(orchestrator, StringComparison.Ordinal) && v.Contains(violation, StringComparison.Ordinal));

    [Fact]
    public void The_convention_leaves_good_orchestrators_alone() => Assert.Empty(Violations(typeof(Good)));

    private static IEnumerable<string> Violations(Type type) =>
        from method in type.GetMethods(All)
        where method.GetParameters().Any(p => p.IsDefined(typeof(OrchestrationTriggerAttribute)))
        from violation in Shape(method).Concat(Calls(method, [])).Distinct()
        select $"{method.Name} {violation}";

    private static IEnumerable<string> Shape(MethodInfo method)
    {
        if (!method.IsStatic) yield return "is not static";
        if (method.GetParameters().Length > 1) yield return "takes more than its context";
    }

    private static IEnumerable<string> Calls(MethodBase method, HashSet<MethodBase> seen)
    {
        if (!seen.Add(method) || method.GetMethodBody()?.GetILAsByteArray() is not { } il) yield break;
        if (method.GetCustomAttribute<AsyncStateMachineAttribute>() is { } async)
        {
            foreach (var violation in Calls(async.StateMachineType.GetMethod("MoveNext", All)!, seen)) yield return violation;
        }

        foreach (var (op, member) in Members(method, il))
        {
            if (member is FieldInfo field && op == OpCodes.Stsfld && !field.DeclaringType!.IsDefined(typeof(CompilerGeneratedAttribute))) yield return $"writes static field {Name(field)}";
            if (member is not MethodBase called) continue;
            if (IsBanned(called)) yield return $"calls {Name(called)}";
            if (called.DeclaringType?.Assembly == method.DeclaringType!.Assembly && called.DeclaringType.Namespace?.StartsWith("Microsoft", StringComparison.Ordinal) != true)
            {
                foreach (var violation in Calls(called, seen)) yield return violation;
            }
        }
    }

    private static bool IsBanned(MethodBase called)
    {
        var type = TypeName(called.DeclaringType!);
        return Banned.Contains(type) || Banned.Contains(Name(called)) || BannedNamespaces.Any(n => type.StartsWith(n, StringComparison.Ordinal));
    }

    private static string Name(MemberInfo member) => $"{TypeName(member.DeclaringType!)}.{member.Name}";

    private static string TypeName(Type type) => $"{type.Namespace}.{type.Name}";

    /// <summary>The members that the instructions name, in their order.</summary>
    private static IEnumerable<(OpCode Op, MemberInfo? Member)> Members(MethodBase method, byte[] il)
    {
        for (var at = 0; at < il.Length;)
        {
            var op = il[at] == 0xFE ? Ops[unchecked((short)(0xFE00 | il[at + 1]))] : Ops[il[at]];
            at += op.Size;
            if (op.OperandType is OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineTok)
                yield return (op, method.Module.ResolveMember(BitConverter.ToInt32(il, at), method.DeclaringType!.GetGenericArguments(), method.IsGenericMethod ? method.GetGenericArguments() : null));
            at += op.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(il, at),
                _ => 4,
            };
        }
    }

    private static readonly Dictionary<short, OpCode> Ops =
        typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => (OpCode)f.GetValue(null)!).ToDictionary(o => o.Value);

    private sealed class Bad
    {
        private static int count;
        private readonly string _name = "X";

        public static Task ReadsTheClock([OrchestrationTrigger] TaskOrchestrationContext context) =>
            context.CreateTimer(Clock(), CancellationToken.None);

        public static async Task Sleeps([OrchestrationTrigger] TaskOrchestrationContext context) => await Task.Delay(TimeSpan.FromDays(1), TimeProvider.System);

        public static async Task LeavesItsThread([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await context.CallActivityAsync("X").ConfigureAwait(false);

        public static async Task AsksTheWeb([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            using var client = new HttpClient();
            await client.GetStringAsync(new Uri("http://localhost"));
        }

        public static async Task MakesAnIdInALambda([OrchestrationTrigger] TaskOrchestrationContext context) =>
            await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => context.CallActivityAsync("X", NewId())));

        public static async Task MakesAnIdElsewhere([OrchestrationTrigger] TaskOrchestrationContext context) => await context.CallActivityAsync("X", NewId());

        public static Task TakesMore([OrchestrationTrigger] TaskOrchestrationContext context, CancellationToken cancellation) => Task.CompletedTask;

        public Task IsNoStatic([OrchestrationTrigger] TaskOrchestrationContext context) => context.CallActivityAsync(_name);

        public static Task RemembersInAStatic([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            count++;
            return context.CallActivityAsync("X", count);
        }

#pragma warning disable RS0030 // What the convention has to find.
        private static DateTime Clock() => DateTime.UtcNow;

        private static Guid NewId() => Guid.NewGuid();
#pragma warning restore RS0030
    }

    private static class Good
    {
        public static async Task<decimal> Decides([OrchestrationTrigger] TaskOrchestrationContext context)
        {
            var input = context.GetInput<List<string>>() ?? [];
            using var cancel = new CancellationTokenSource();
            var timer = context.CreateTimer(context.CurrentUtcDateTime.Date.AddDays(1), cancel.Token);
            var all = Task.WhenAll(input.Select(i => context.CallActivityAsync<int>("X", $"{i.ToUpperInvariant()} {context.NewGuid()}")));
            if (await Task.WhenAny(timer, all) == all) cancel.Cancel();
            return Math.Max(0, (await all).Sum());
        }
    }
}
