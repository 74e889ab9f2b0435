using System.Text.Json.Nodes;
using Azure.Data.Tables;
using Harbour.Charges;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Refunds;
using Harbour.Sandbox.Providers;
using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Tests.Simulation;

/// <summary>All rows of one merchant, read as they are in storage.</summary>
internal sealed class Partition
{
    private Partition(Book book, IReadOnlyList<TableEntity> rows)
    {
        Book = book;
        Rows = rows;
        Charges = [.. Of("charge|").Select(row => Books.Row<Charge>(row).Value)];
        Refunds = [.. Of("refund|").Select(row => Books.Row<Refund>(row).Value)];
        Postings = [.. Of("post|").Select(Line)];
        Events = [.. Of("event|").Select(row => JsonNode.Parse(Books.Text(row))!)];
        Open = [.. Of("open|").Select(row => Books.Row<OpenWork>(row).Value)];
    }

    public Book Book { get; }
    public IReadOnlyList<TableEntity> Rows { get; }
    public IReadOnlyList<Charge> Charges { get; }
    public IReadOnlyList<Refund> Refunds { get; }
    public IReadOnlyList<LedgerLine> Postings { get; }
    public IReadOnlyList<JsonNode> Events { get; }
    public IReadOnlyList<OpenWork> Open { get; }

    public static async Task<Partition> ReadAsync(Books books, Book book) => new(book, await books.ScanAsync(book, "", Books.Last).ToListAsync());

    public IEnumerable<TableEntity> Of(string prefix) => Rows.Where(row => row.RowKey.StartsWith(prefix, StringComparison.Ordinal));

    private static LedgerLine Line(TableEntity row) => row.RowKey.Split('|') is [_, var account, var currency, ..]
        ? new(account, currency, row.GetInt64("Amount")!.Value, row.GetString("Entry"), row.GetString("Type"), row.GetString("Source"), LedgerKeys.TimeOf(row.RowKey))
        : throw new FormatException(row.RowKey);
}

internal sealed record LedgerLine(string Account, string Currency, long Amount, string Entry, string Type, string Source, DateTimeOffset At);

/// <summary>
/// What must be true of a merchant's books when nothing is under way any more, whatever happened before. Each rule adds what is
/// wrong in words; nothing here knows what the run did.
/// </summary>
internal static class Invariants
{
    /// <summary>All rules, over one merchant and the payments that the provider has in its name.</summary>
    public static async Task<List<string>> OfBooksAsync(IServiceProvider services, Api api, Book book, long allowance, IReadOnlyCollection<SimulatedPayment> provider)
    {
        var partition = await Partition.ReadAsync(services.GetRequiredService<Books>(), book);
        var balances = (await api.GetAsync("/v1/balance")).Body["balances"]!.AsArray();
        return
        [
            .. EntriesBalance(partition), .. BalanceIsTheSum(partition, balances), .. HeadsAreTheSum(partition), .. NothingIsOverdrawn(partition, allowance),
            .. ChargesAreBooked(partition), .. RefundsAreBooked(partition),
            .. ProviderAgrees(partition, provider), .. NothingIsOpen(partition), .. EventsTellTheStory(partition),
            .. IndexesFollow(partition), .. VersionsCountTheChanges(partition),
        ];
    }

    private static IEnumerable<string> EntriesBalance(Partition partition) =>
        from entry in partition.Postings.GroupBy(line => (line.Entry, line.Currency))
        where entry.Sum(line => line.Amount) != 0
        select $"The entry {entry.Key.Entry} sums to {entry.Sum(line => line.Amount)} {entry.Key.Currency}.";

    private static IEnumerable<string> BalanceIsTheSum(Partition partition, JsonArray balances) =>
        from balance in balances
        from account in new[] { "available", "pending", "reserved" }
        let shown = balance![account]!.GetValue<long>()
        let sum = partition.Postings.Where(line => line.Account == "merchant_" + account && line.Currency == balance["currency"]!.ToString()).Sum(line => line.Amount)
        where shown != sum
        select $"The balance shows {shown} {balance["currency"]} {account}, and the postings sum to {sum}.";

    private static IEnumerable<string> HeadsAreTheSum(Partition partition) =>
        from row in partition.Of("head|")
        let key = row.RowKey.Split('|')
        let head = Books.Row<Head>(row).Value
        from cut in new[] { (At: head.Cut, head.Sum), (At: head.CheckedCut, Sum: head.CheckedSum) }
        let sum = partition.Postings.Where(line => line.Account == key[1] && line.Currency == key[2] && line.At <= cut.At).Sum(line => line.Amount)
        where cut.Sum != sum
        select $"The head of {key[1]} {key[2]} says {cut.Sum} at {cut.At:O}, and the postings up to there sum to {sum}.";

    /// <summary>
    /// No refund may ever have taken the available balance below the allowance: a debit is stamped after all that it saw, so the
    /// postings in the order of their stamps are what it could spend. (A fee may: it is due whatever the balance.)
    /// </summary>
    private static IEnumerable<string> NothingIsOverdrawn(Partition partition, long allowance)
    {
        foreach (var lines in partition.Postings.Where(line => line.Account == "merchant_available").GroupBy(line => line.Currency))
        {
            var balance = 0L;
            foreach (var moment in lines.GroupBy(line => line.At).OrderBy(moment => moment.Key))
            {
                balance += moment.Sum(line => line.Amount);
                if (balance < -allowance && moment.Any(line => line is { Type: "refund", Amount: < 0 }))
                    yield return $"A refund took the available balance to {balance} {lines.Key} at {moment.Key:O}, and the allowance is {allowance}.";
            }
        }
    }

    /// <summary>After a quiet day: nothing is under way, and what was lent where the balance was short is back where it is not.</summary>
    public static IEnumerable<string> AfterADay(Partition partition) => [.. NothingIsOpen(partition), .. ShortfallsAreCovered(partition)];

    private static IEnumerable<string> ShortfallsAreCovered(Partition partition) =>
        from lines in partition.Postings.GroupBy(line => line.Currency)
        let available = lines.Where(line => line.Account == "merchant_available").Sum(line => line.Amount)
        let own = lines.Where(line => line.Account == "own_bank").Sum(line => line.Amount)
        where own != Math.Max(0, -available)
        select $"The available balance is {available} {lines.Key}, and {own} of own money covers it.";

    private static IEnumerable<string> ChargesAreBooked(Partition partition)
    {
        foreach (var charge in partition.Charges)
        {
            var lines = partition.Postings.Where(line => line.Source == charge.Id.Value).ToList();
            var booked = lines.Where(line => line is { Type: "charge", Account: "merchant_available" }).Sum(line => line.Amount);
            var fee = lines.Where(line => line is { Type: "fee", Account: "fees" }).Sum(line => line.Amount);
            var due = FeeSchedule.Standard.FeeOf(new Money(charge.Captured, charge.Settlement.Currency)).Minor;
            if (charge.Captured > charge.Amount.Minor) yield return $"{charge.Id} captured {charge.Captured} of {charge.Amount.Minor}.";
            if (charge.Refunded > charge.Captured || charge.Refunded < 0) yield return $"{charge.Id} refunded {charge.Refunded} of {charge.Captured}.";
            if (booked != charge.Captured) yield return $"{charge.Id} captured {charge.Captured}, and {booked} is booked.";
            if (fee != due || charge.Settlement.Fee != due) yield return $"{charge.Id} owes a fee of {due}, shows {charge.Settlement.Fee}, and {fee} is booked.";
            if (charge.Captured > 0 && charge.Status is not (ChargeStatus.Succeeded or ChargeStatus.Authorized or ChargeStatus.Canceled)) yield return $"{charge.Id} is {charge.Status}, and {charge.Captured} is captured.";
        }

        foreach (var index in partition.Charges.Where(charge => charge.Pending is not null)) yield return $"{index.Id} still has its {index.Pending!.Kind} under way.";
        foreach (var source in partition.Postings.Select(line => line.Source).Distinct())
            if (source.StartsWith("ch_", StringComparison.Ordinal) && partition.Charges.All(charge => charge.Id.Value != source)) yield return $"There are postings of {source}, which does not exist.";
    }

    private static IEnumerable<string> RefundsAreBooked(Partition partition)
    {
        foreach (var refund in partition.Refunds)
        {
            var lines = partition.Postings.Where(line => line.Source == refund.Id.Value && line.Type == "refund").ToList();
            var left = refund.Status is RefundStatus.Failed ? 0 : -refund.Amount.Minor;
            var taken = lines.Where(line => line.Account == "merchant_available").Sum(line => line.Amount);
            if (taken != left) yield return $"{refund.Id} is {refund.Status} over {refund.Amount}, and {taken} is taken from the balance.";
            if (lines.Where(line => line.Account == "in_transit_out").Sum(line => line.Amount) is not 0 and var stuck) yield return $"{stuck} of {refund.Id} is still in transit.";
        }

        foreach (var charge in partition.Charges)
        {
            var refunded = partition.Refunds.Where(refund => refund.Charge == charge.Id && refund.Status is not RefundStatus.Failed).Sum(refund => refund.Amount.Minor);
            if (refunded != charge.Refunded) yield return $"{charge.Id} says that {charge.Refunded} is refunded, and its refunds sum to {refunded}.";
        }

        var indexed = partition.Of("refunds_of|").Select(row => row.RowKey).ToHashSet();
        if (!indexed.SetEquals(partition.Refunds.Select(refund => $"refunds_of|{refund.Charge}|{Sortable.Invert(refund.Id.Key)}"))) yield return "The index of refunds does not name the refunds.";
    }

    private static IEnumerable<string> ProviderAgrees(Partition partition, IReadOnlyCollection<SimulatedPayment> provider)
    {
        foreach (var charge in partition.Charges)
        {
            var payments = provider.Where(payment => payment.Charge == charge.Id.Value).ToList();
            if (payments.Count > 1) yield return $"The provider has {payments.Count} payments of {charge.Id}.";
            var theirs = payments.SingleOrDefault(payment => payment.Reference == charge.Provider.Reference) ?? payments.FirstOrDefault();
            var moved = theirs is { Status: "authorized" or "processing" } || theirs?.AmountCaptured > theirs?.AmountRefunded;
            var agrees = charge.Status switch
            {
                ChargeStatus.Failed => !moved,
                ChargeStatus.Canceled => theirs?.Status == "canceled" || (charge.Captured == 0 && !moved),
                var status => theirs?.Status == JsonNode.Parse(Json.Text(status))!.ToString(),
            };
            if (!agrees) yield return $"{charge.Id} is {charge.Status} here and {theirs?.Status ?? "unknown"} at the provider.";
            // A payment that landed after it had been given up was undone: it came and went without the merchant.
            if (theirs is null || charge.Status is ChargeStatus.Failed) continue;
            if (theirs.Amount != charge.Amount.Minor || theirs.Currency != charge.Amount.Currency.Code) yield return $"{charge.Id} is over {charge.Amount} here and {theirs.Amount} {theirs.Currency} at the provider.";
            if (theirs.AmountCaptured != charge.Captured) yield return $"{charge.Id} captured {charge.Captured} here and {theirs.AmountCaptured} at the provider.";
            if (theirs.AmountRefunded != charge.Refunded) yield return $"{charge.Id} refunded {charge.Refunded} here and {theirs.AmountRefunded} at the provider.";
        }
    }

    private static IEnumerable<string> NothingIsOpen(Partition partition) =>
    [
        .. partition.Open.Select(open => $"{open.Kind} {open.Object} is still open after {open.Looks} looks, next at {open.Due:O}."),
        .. partition.Charges.Where(charge => !charge.IsResolved).Select(charge => $"{charge.Id} is still {charge.Status}."),
        .. partition.Refunds.Where(refund => !refund.IsResolved).Select(refund => $"{refund.Id} is still {refund.Status}."),
    ];

    private static IEnumerable<string> EventsTellTheStory(Partition partition)
    {
        foreach (var charge in partition.Charges)
        {
            var told = partition.Events.Where(e => e["data"]!["object"]!["id"]!.ToString() == charge.Id.Value).OrderBy(e => e["data"]!["object"]!["version"]!.GetValue<int>()).ToList();
            foreach (var twice in told.GroupBy(e => e["data"]!["object"]!["version"]!.GetValue<int>()).Where(g => g.Count() > 1)) yield return $"Version {twice.Key} of {charge.Id} has {twice.Count()} events.";
            // Authorized may follow authorized, when a part was captured; any other status is entered once.
            foreach (var (one, next) in told.Zip(told.Skip(1)))
                if (one["type"]!.ToString() == next["type"]!.ToString() && one["type"]!.ToString() != "charge.authorized") yield return $"{charge.Id} has {one["type"]} twice.";
            foreach (var wrong in told.Where(e => e["type"]!.ToString() != "charge." + e["data"]!["object"]!["status"])) yield return $"{wrong["type"]} shows {charge.Id} as {wrong["data"]!["object"]!["status"]}.";
            if (charge.Event is { } last && told.LastOrDefault()?["type"]!.ToString() != last) yield return $"{charge.Id} is {charge.Status}, and its last event is {told.LastOrDefault()?["type"] ?? "none"}.";
            if (told.Count > 0 && told[^1]["data"]!["object"]!["version"]!.GetValue<int>() > charge.Version) yield return $"{charge.Id} has an event of a version that it never reached.";
        }

        foreach (var refund in partition.Refunds)
        {
            string[] told = [.. partition.Events.Where(e => e["data"]!["object"]!["id"]!.ToString() == refund.Id.Value).Select(e => e["type"] + " " + e["data"]!["object"]!["version"])];
            string[] right = refund.IsResolved ? [$"refund.{(refund.Status is RefundStatus.Succeeded ? "succeeded" : "failed")} {refund.Version}"] : [];
            if (!told.SequenceEqual(right)) yield return $"{refund.Id} is {refund.Status} in version {refund.Version}, and its events are {string.Join(", ", told)}.";
        }

        var keys = partition.Of("event|").Select(row => Sortable.Invert(row.RowKey["event|".Length..])).ToHashSet();
        foreach (var pointer in partition.Of("outbox|").Where(row => !keys.Contains(row.RowKey["outbox|".Length..]))) yield return $"{pointer.RowKey} points at no event.";
    }

    private static IEnumerable<string> IndexesFollow(Partition partition)
    {
        var indexed = partition.Of("status|").Select(row => row.RowKey).ToHashSet();
        var right = partition.Charges.Select(charge => $"status|{charge.Status}|{Sortable.Invert(charge.Id.Key)}").ToHashSet();
        return [.. indexed.Except(right).Select(key => $"{key} is in the index and should not be."), .. right.Except(indexed).Select(key => $"{key} is not in the index.")];
    }

    /// <summary>
    /// The log of commits names every row that was written: a charge has as many versions as commits that wrote it. Captures and
    /// cancellations also write what nobody sees (that one is under way), so for charges that had some it has no more than that.
    /// </summary>
    private static IEnumerable<string> VersionsCountTheChanges(Partition partition)
    {
        var commits = partition.Of("req|").Select(row => JsonNode.Parse(Books.Text(row))!)
            .SelectMany(commit => commit["rows"]!.AsArray(), (commit, row) => (Operation: commit["operation"]!.ToString(), Row: row!.ToString())).ToLookup(write => write.Row, write => write.Operation);
        return from charge in partition.Charges
               let key = ChargeStore.Key(charge.Id)
               where !commits.Contains("Delete:" + key)
               let writes = commits["Add:" + key].Concat(commits["UpdateReplace:" + key]).ToList()
               where charge.Version > writes.Count || (charge.Version < writes.Count && !writes.Any(operation => operation is "charge.capture" or "charge.cancel"))
               select $"{charge.Id} has version {charge.Version} after {writes.Count} commits.";
    }

    /// <summary>What the merchants heard must fit together, and with what there is now.</summary>
    /// <param name="heard">All answers of the run, in the order of their beginning.</param>
    public static IEnumerable<string> OfAnswers(IReadOnlyList<Heard> heard, IReadOnlyCollection<string> objects, IEnumerable<Charge> charges, IReadOnlyCollection<SimulatedPayment> provider)
    {
        foreach (var key in heard.GroupBy(one => one.Step.Key))
        {
            var answers = key.Where(one => one.Answer is not null).ToList();
            var named = answers.Select(one => one.Object).OfType<string>().Distinct().ToList();
            if (named.Count > 1) yield return $"The key {key.Key} named {string.Join(" and ", named)}.";
            foreach (var gone in named.Where(name => !objects.Contains(name))) yield return $"The key {key.Key} was answered with {gone}, which does not exist.";

            var finals = answers.Where(one => one.IsFinal).OrderBy(one => one.Ended).ToList();
            if (finals.Count == 0) continue;
            foreach (var other in finals.Where(one => one.Answer!.Status != finals[0].Answer!.Status || one.Answer.Text != finals[0].Answer!.Text))
                yield return $"The key {key.Key} had two final answers: {finals[0]} {finals[0].Answer!.Text} and {other} {other.Answer!.Text}.";
            foreach (var late in answers.Where(one => !one.IsFinal && one.Begun > finals[0].Ended && one.Answer!.Status is not (500 or 503 or 409)))
                yield return $"The key {key.Key} had its final answer, and later another: {late}.";
        }

        foreach (var answer in heard.Where(one => one.Answer is { Status: not (201 or 202 or 402 or 403 or 409 or 422 or 500 or 503) })) yield return $"An answer that nothing explains: {answer} {answer.Answer!.Text}.";

        var ours = charges.ToList();
        foreach (var twice in ours.GroupBy(charge => charge.Reference).Where(g => g.Count() > 1)) yield return $"The key {twice.Key} made {twice.Count()} charges: {string.Join(", ", twice.Select(charge => charge.Id))}.";
        foreach (var orphan in provider.Where(payment => ours.All(charge => charge.Id.Value != payment.Charge))) yield return $"The provider has {orphan.Reference} of {orphan.Charge}, which does not exist here.";
    }
}
