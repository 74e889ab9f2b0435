using Harbour.Foundation;

namespace Harbour.Providers;

/// <summary>Chooses the provider of a payment by its method.</summary>
public sealed class Router(IEnumerable<IProvider> providers)
{
    private static readonly Dictionary<string, string> ByMethod = new(StringComparer.Ordinal) { ["card"] = "stripe" };

    private readonly Dictionary<string, IProvider> byName = providers.ToDictionary(p => p.Name, StringComparer.Ordinal);

    /// <summary>The payment methods that can be charged.</summary>
    public static IReadOnlyCollection<string> Methods => ByMethod.Keys;

    /// <summary>The payment methods that can be stored and charged without the payer.</summary>
    public static readonly IReadOnlyCollection<string> Stored = ["card"];

    public IProvider For(string methodType) => Named(ByMethod[methodType]);
    public IProvider Named(string provider) => byName[provider];
}
