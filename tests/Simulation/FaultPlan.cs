namespace Harbour.Tests.Simulation;

/// <summary>What happens to one call to storage or to the provider.</summary>
internal enum Fault
{
    None,

    /// <summary>It waits, then goes through.</summary>
    Delay,

    /// <summary>It is lost on its way: nothing was done, and the caller can't know.</summary>
    DropRequest,

    /// <summary>It is carried out, and the answer is lost.</summary>
    DropAnswer,

    /// <summary>Only to the provider: the connection is refused, so that the caller knows that nothing was done.</summary>
    Refuse,

    /// <summary>Only to the provider: "not now", before anything is done.</summary>
    Busy,

    /// <summary>Only to the provider: it is on its way for so long that the caller may have given up when it lands.</summary>
    Late,

    /// <summary>The process dies before the call is sent.</summary>
    KillBefore,

    /// <summary>The process dies when the call was carried out, before it hears of it.</summary>
    KillAfter,
}

/// <summary>
/// Which call meets which fault. It is a pure function of the seed, of the name of the work that calls (a try of a step of the
/// workload, or a timer) and of the number of the call within that work. So a seed says the same of the third call of a refund,
/// in whatever order the machine runs things.
/// </summary>
/// <param name="providerKillRate">How often the process dies at a call to the provider: before it, or when it was carried out.</param>
internal sealed class FaultPlan(
    int seed, double storageRate, double providerRate, double blackoutRate, IReadOnlySet<(string Work, int Call)> kills, double providerKillRate = 0)
{
    public static readonly FaultPlan None = new(0, 0, 0, 0, new HashSet<(string, int)>());

    private static readonly Fault[] OfStorage = [Fault.Delay, Fault.DropRequest, Fault.DropAnswer, Fault.DropAnswer];
    private static readonly Fault[] OfProvider = [Fault.Delay, Fault.DropRequest, Fault.DropAnswer, Fault.DropAnswer, Fault.Refuse, Fault.Busy, Fault.Late];

    public Fault Storage(string work, int call)
    {
        if (Kill(work, call) is { } kill) return kill;
        var chance = new Chance(seed, "storage", work, call);
        // Now and then storage is gone for the rest of a piece of work: then not even a fourth try of a commit gets through.
        if (chance.Next() < BlackoutFrom(work, call)) return chance.Next() < 0.5 ? Fault.DropRequest : Fault.DropAnswer;
        return chance.Next() < storageRate ? chance.Of(OfStorage) : Fault.None;
    }

    public Fault Provider(string work, int call)
    {
        if (Kill(work, call) is { } kill) return kill;
        var death = new Chance(seed, "death", work, call);
        if (death.Next() < providerKillRate) return death.Next() < 0.3 ? Fault.KillBefore : Fault.KillAfter;
        var chance = new Chance(seed, "provider", work, call);
        return chance.Next() < providerRate ? chance.Of(OfProvider) : Fault.None;
    }

    /// <summary>How long a call is held up.</summary>
    public TimeSpan Wait(Fault fault, string work, int call)
    {
        var part = new Chance(seed, "wait", work, call).Next();
        return TimeSpan.FromMilliseconds(fault is Fault.Late ? 100 + 300 * part : 30 * part);
    }

    private Fault? Kill(string work, int call) =>
        !kills.Contains((work, call)) ? null : new Chance(seed, "kill", work, call).Next() < 0.4 ? Fault.KillBefore : Fault.KillAfter;

    private double BlackoutFrom(string work, int call)
    {
        if (blackoutRate <= 0) return 0;
        var chance = new Chance(seed, "blackout", work, 0);
        return chance.Next() < blackoutRate && call >= (int)(chance.Next() * 10) ? 1 : 0;
    }

    /// <summary>Numbers that depend on nothing but their names: the same on every machine and in every version of .NET.</summary>
    private struct Chance
    {
        private ulong state;

        public Chance(int seed, string kind, string work, int call)
        {
            unchecked
            {
                // FNV-1a over the names, stirred by SplitMix64.
                state = 14695981039346656037UL ^ (uint)seed;
                foreach (var c in $"{kind}|{work}|{call}") state = (state ^ c) * 1099511628211UL;
            }
        }

        public double Next()
        {
            unchecked
            {
                var z = state += 0x9E3779B97F4A7C15UL;
                z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
                z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
                return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
            }
        }

        public Fault Of(Fault[] faults) => faults[(int)(Next() * faults.Length)];
    }
}
