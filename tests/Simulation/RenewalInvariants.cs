using System.Globalization;
using System.Text.Json.Nodes;
using Harbour.Sandbox.Providers;

namespace Harbour.Tests.Simulation;

/// <summary>What must be true of invoices when nothing is under way any more, whatever happened before.</summary>
internal static class RenewalInvariants
{
    private static readonly TimeSpan[] Waits = [TimeSpan.FromHours(1), TimeSpan.FromHours(24), TimeSpan.FromHours(72)];

    /// <param name="invoices">Of all subscriptions, those of each the oldest first.</param>
    public static IEnumerable<string> OfInvoices(IReadOnlyList<JsonNode> invoices, IReadOnlyCollection<SimulatedPayment> provider)
    {
        foreach (var invoice in invoices)
        {
            var (name, status, attempts) = ($"{invoice["id"]} of {invoice["subscription"]}", invoice["status"]!.ToString(), invoice["attempts"]!.AsArray());
            var taken = provider.Where(p => attempts.Any(a => a!["charge"]?.ToString() == p.Charge) && p is { Status: "succeeded" } && p.AmountCaptured > p.AmountRefunded).ToList();
            if (taken.Count != (status == "paid" ? 1 : 0)) yield return $"{name} is {status}, and the provider took {taken.Count} payments for it.";
            if (attempts.Count > 4) yield return $"{name} has {attempts.Count} attempts.";
            if (status is "paid" != attempts.Any(a => a!["status"]!.ToString() == "succeeded")) yield return $"{name} is {status} after {string.Join(", ", attempts.Select(a => a!["status"]))}.";
            if (!attempts.Select(a => a!["number"]!.GetValue<int>()).SequenceEqual(Enumerable.Range(1, attempts.Count))) yield return $"The attempts of {name} are not counted from 1.";
            foreach (var (first, second, wait) in attempts.Zip(attempts.Skip(1), Waits))
                if (Time(second!["at"]) - Time(first!["at"]) < wait) yield return $"Attempt {second["number"]} of {name} came {Time(second["at"]) - Time(first["at"])} after the one before.";
            // The tenth quiet day may have begun a period of a subscription that renews each day: that one is still to be taken.
            if (status == "open" && attempts.Count == 4) yield return $"{name} is open after its last attempt.";
        }

        foreach (var subscription in invoices.GroupBy(invoice => invoice["subscription"]!.ToString()))
            foreach (var (before, after) in subscription.Zip(subscription.Skip(1)))
            {
                // After it was resumed a period may begin later than the one before it ended; two never share a moment unless that one was given up.
                if (Time(after["period_start"]) < Time(before["period_end"]) && before["status"]!.ToString() == "paid")
                    yield return $"{after["id"]} of {subscription.Key} begins at {after["period_start"]}, within the period that {before["id"]} paid for.";
            }
    }

    /// <summary>Each invoice has one event for each failure and one for its end.</summary>
    public static IEnumerable<string> OfEvents(Partition partition, IReadOnlyList<JsonNode> invoices)
    {
        var told = partition.Events.Where(e => e["type"]!.ToString().StartsWith("invoice.", StringComparison.Ordinal))
            .ToLookup(e => e["data"]!["object"]!["id"]!.ToString(), e => e["type"]!.ToString());
        foreach (var invoice in invoices)
        {
            var (id, status) = (invoice["id"]!.ToString(), invoice["status"]!.ToString());
            var failed = invoice["attempts"]!.AsArray().Count(a => a!["status"]!.ToString() == "failed");
            string[] right = [.. Enumerable.Repeat("invoice.payment_failed", failed), .. status is "paid" or "uncollectible" ? new[] { "invoice." + status } : []];
            if (!told[id].Order(StringComparer.Ordinal).SequenceEqual(right.Order(StringComparer.Ordinal))) yield return $"{id} is {status} with {failed} failures, and its events are {string.Join(", ", told[id])}.";
        }
    }

    /// <summary>Every charge that was made for an invoice is one of its attempts; none was made beside them.</summary>
    public static IEnumerable<string> OfCharges(Partition partition, IReadOnlyList<JsonNode> invoices)
    {
        var attempts = invoices.ToDictionary(invoice => invoice["id"]!.ToString(), invoice => invoice["attempts"]!.AsArray().Select(attempt => attempt!["charge"]?.ToString()).ToHashSet());
        foreach (var charge in partition.Charges)
            if (charge.Metadata.TryGetValue("invoice", out var invoice) && !attempts[invoice].Contains(charge.Id.Value)) yield return $"{charge.Id} ({charge.Status}) was made for {invoice}, which does not know of it.";
    }

    private static DateTimeOffset Time(JsonNode? node) => DateTimeOffset.Parse(node!.ToString(), CultureInfo.InvariantCulture);
}
