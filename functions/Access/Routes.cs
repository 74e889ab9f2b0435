using System.Collections.Frozen;
using System.Reflection;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Access;

/// <summary>What an HTTP function needs of its caller: a credential with this scope, and what the request must carry.</summary>
/// <param name="scope">One of <see cref="Scopes.All"/>.</param>
[AttributeUsage(AttributeTargets.Method)]
public sealed class AccessAttribute(string scope) : Attribute
{
    public string Scope { get; } = scope;

    /// <summary>True where the request moves or promises money: without an Idempotency-Key it is refused.</summary>
    public bool Idempotency { get; init; }

    /// <summary>The most bytes that the body may have.</summary>
    public int MaxBody { get; init; } = Route.DefaultMaxBody;
}

/// <summary>Marks an HTTP function that anyone may call. What it must know about the caller it finds out itself.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PublicAttribute : Attribute
{
    /// <summary>The most bytes that the body may have.</summary>
    public int MaxBody { get; init; } = Route.DefaultMaxBody;
}

/// <summary>One HTTP function: where it is and what it needs.</summary>
/// <param name="Name">The name of the function.</param>
/// <param name="Template">The route template without a slash in front: <c>v1/charges/{id}</c>.</param>
/// <param name="Methods">Upper case; empty for every method.</param>
/// <param name="Scope">Null for a public function.</param>
/// <param name="NeedsIdempotencyKey">True when a POST without the header is refused.</param>
/// <param name="MaxBody">Bytes.</param>
public sealed record Route(string Name, string Template, IReadOnlyList<string> Methods, string? Scope, bool NeedsIdempotencyKey, int MaxBody)
{
    /// <summary>256 KiB: many times the largest request that is not a batch.</summary>
    public const int DefaultMaxBody = 256 * 1024;

    public bool IsPublic => Scope is null;
}

/// <summary>
/// The catalogue of HTTP functions, read once from their attributes. A function that says neither what it needs nor that it is
/// public stops the start: forgetting must not open a door.
/// </summary>
public sealed class Routes
{
    private readonly FrozenDictionary<string, Route> byName;
    private readonly (Route Route, TemplateMatcher Matcher)[] matchers;

    /// <param name="classes">The classes in which functions are looked for.</param>
    /// <exception cref="InvalidOperationException">A function's attributes do not say who may call it.</exception>
    public Routes(IEnumerable<Type> classes)
    {
        All = [.. classes
            .SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
            .Select(Read).OfType<Route>()];
        byName = All.ToFrozenDictionary(r => r.Name, StringComparer.Ordinal);
        matchers = [.. All.Where(r => !r.Template.Contains('*', StringComparison.Ordinal))
            .Select(r => (r, new TemplateMatcher(TemplateParser.Parse(r.Template), [])))];
    }

    public IReadOnlyList<Route> All { get; }

    public Route Of(string functionName) =>
        byName.TryGetValue(functionName, out var route) ? route : throw new InvalidOperationException($"The function {functionName} is not in the catalogue of routes.");

    /// <summary>The methods that a path of ours takes; empty when no route has this path.</summary>
    public IReadOnlyList<string> MethodsAt(PathString path) =>
        [.. matchers.Where(m => m.Matcher.TryMatch(path, [])).SelectMany(m => m.Route.Methods).Distinct().Order(StringComparer.Ordinal)];

    private static Route? Read(MethodInfo method)
    {
        if (method.GetCustomAttribute<FunctionAttribute>() is not { } function) return null;
        if (method.GetParameters().Select(p => p.GetCustomAttribute<HttpTriggerAttribute>()).FirstOrDefault(t => t is not null) is not { } trigger) return null;

        var access = method.GetCustomAttribute<AccessAttribute>();
        var open = method.GetCustomAttribute<PublicAttribute>();
        if (access is null == open is null) throw new InvalidOperationException($"The function {function.Name} needs either [Access] or [Public].");
        if (access is not null && !Scopes.All.Contains(access.Scope))
            throw new InvalidOperationException($"The function {function.Name} asks for {access.Scope}, which is no scope.");

        return new Route(function.Name, (trigger.Route ?? function.Name).TrimStart('/'),
            [.. (trigger.Methods ?? []).Select(m => m.ToUpperInvariant())],
            access?.Scope, access?.Idempotency ?? false, access?.MaxBody ?? open!.MaxBody);
    }
}
