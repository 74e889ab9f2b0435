using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Tests.Conventions;

public sealed partial class CodeConventionTests
{
    private static readonly string[] Base = ["Foundation", "Merchants", "Access", "Providers", "Risk", "Ledger"];

    /// <summary>What a folder may use besides itself. Foundation ← Ledger, Providers, Access, Merchants, Risk ← the other capabilities.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Foundation"] = [],
        ["Merchants"] = ["Foundation"],
        ["Access"] = ["Foundation", "Merchants"],
        ["Providers"] = ["Foundation"],
        ["Risk"] = ["Foundation"],
        ["Ledger"] = ["Foundation", "Access", "Merchants"],
        ["Charges"] = [.. Base, "Customers"],
        ["Refunds"] = [.. Base, "Charges"],
        ["Subscriptions"] = [.. Base, "Customers", "Charges"],
        ["Operations"] = [.. Base, "Customers", "Charges", "Refunds"],
        ["Requests"] = ["Foundation", "Access"],
    };

    [Fact]
    public void Dependencies_point_one_way()
    {
        var wrong = from file in Repository.Sources("functions")
                    let folder = Path.GetRelativePath(Path.Combine(Repository.Root, "functions"), file).Split(Path.DirectorySeparatorChar)
                    where folder.Length > 1
                    from used in Uses().Matches(File.ReadAllText(file)).Select(m => m.Groups[1].Value).Distinct()
                    where used != folder[0] && !Allowed.GetValueOrDefault(folder[0], Base).Contains(used)
                    select $"{string.Join('/', folder)} uses {used}";
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_capability_never_uses_another_ones_store()
    {
        var wrong = from file in Repository.Sources("functions")
                    let folder = Path.GetFileName(Path.GetDirectoryName(file))!
                    from store in Stores().Matches(Code(file)).Select(m => m.Value).Distinct()
                    where !File.Exists(Path.Combine(Path.GetDirectoryName(file)!, store + ".cs")) && store is not ("MerchantStore" or "CredentialStore")
                    select $"{folder}/{Path.GetFileName(file)} uses {store}";
        Assert.Empty(wrong);
    }

    [Fact]
    public void An_interface_has_two_implementations_or_is_one_that_the_architecture_names()
    {
        string[] named = ["IProvider", "IRateSource"];
        // An interface of static abstract members is a constraint on type parameters, implemented by every type with ids.
        var types = Harbour().ToList();
        var lonely = types.Where(t => t.IsInterface && !named.Contains(t.Name) && types.Count(c => c is { IsClass: true } && c.IsAssignableTo(t)) < 2);
        Assert.DoesNotContain(lonely, t => t.GetMethods().Any(m => !m.IsStatic));
    }

    [Fact]
    public void No_folder_is_a_place_for_anything()
    {
        string[] banned = ["Services", "Models", "Helpers", "Utils", "Common", "Managers"];
        Assert.DoesNotContain(Directory.EnumerateDirectories(Path.Combine(Repository.Root, "functions"), "*", SearchOption.AllDirectories), d => banned.Contains(Path.GetFileName(d)));
    }

    [Fact]
    public void Functions_never_mention_the_sandbox() =>
        Assert.DoesNotContain(Repository.Sources("functions"), file => Code(file).Contains("Sandbox", StringComparison.Ordinal) || Code(file).Contains("#if", StringComparison.Ordinal));

    [Fact]
    public void Time_and_chance_are_banned_by_name()
    {
        var banned = File.ReadAllText(Path.Combine(Repository.Root, "BannedSymbols.txt"));
        Assert.All(new[] { "P:System.DateTime.UtcNow", "P:System.DateTimeOffset.UtcNow", "M:System.Guid.NewGuid", "P:System.Random.Shared", "M:System.Threading.Tasks.Task.Delay(System.TimeSpan)" },
            symbol => Assert.Contains(symbol, banned));
        Assert.DoesNotContain(Repository.Sources("functions"), file => Code(file).Contains("RS0030", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_function_has_a_name_of_its_own_and_a_route()
    {
        var functions = Harbour().SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Instance))
            .Select(m => (Method: m, Function: m.GetCustomAttribute<FunctionAttribute>())).Where(f => f.Function is not null).ToList();
        Assert.NotEmpty(functions);
        Assert.Equal(functions.Count, functions.Select(f => f.Function!.Name).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        Assert.All(functions.Select(f => f.Method.GetParameters().Select(p => p.GetCustomAttribute<HttpTriggerAttribute>()).OfType<HttpTriggerAttribute>().SingleOrDefault()).OfType<HttpTriggerAttribute>(),
            trigger =>
            {
                Assert.NotNull(trigger.Route);
                Assert.Equal(AuthorizationLevel.Anonymous, trigger.AuthLevel);
            });
    }

    private static IEnumerable<Type> Harbour() =>
        typeof(Harbour.Program).Assembly.GetTypes().Where(t => t.Namespace is { } name && (name == "Harbour" || name.StartsWith("Harbour.", StringComparison.Ordinal)) && !name.StartsWith("Harbour.Sandbox", StringComparison.Ordinal));

    private static string Code(string file) => string.Join('\n', File.ReadLines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)));

    [GeneratedRegex(@"\b[A-Z]\w+Store\b")]
    private static partial Regex Stores();

    [GeneratedRegex(@"^using (?:static )?Harbour\.(\w+)", RegexOptions.Multiline)]
    private static partial Regex Uses();
}
