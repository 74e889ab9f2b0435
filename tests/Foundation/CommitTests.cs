using Azure.Data.Tables;
using Harbour.Foundation;
using Harbour.Ledger;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Harbour.Tests.Foundation;

[Collection(nameof(UsesSandbox))]
public sealed class CommitTests
{
    private static readonly Book Book = new("mch_test", Mode.Test);
    private static readonly Account Clearing = Account.ProviderReceivable("test");

    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 11, 23, 2, 0, 0, TimeSpan.Zero));
    private readonly DisturbedStorage wire = new();
    private readonly Books books;
    private readonly LedgerBooks ledger;
    private readonly Func<Task<List<TableEntity>>> rows;

    public CommitTests(SandboxFixture sandbox)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new("Storage:ConnectionString", sandbox.NewStorage())]).Build();
        var storage = new Storage(configuration, wire.Configure);
        books = new Books(storage, new Ids(time), time, NullLogger<Books>.Instance);
        ledger = new LedgerBooks(books, time, NullLogger<LedgerBooks>.Instance);
        rows = async () => await (await storage.TableAsync(Books.Table)).QueryAsync<TableEntity>().ToListAsync();
    }

    [Fact]
    public async Task All_of_a_commit_is_written()
    {
        var commit = Begin();
        commit.Insert("thing|1", new Thing("a"));
        commit.Post("charge", "ch_1", (Clearing, Hkd(-100)), (Account.MerchantAvailable, Hkd(100)));
        commit.Emit("thing.made", new Thing("a"));
        Assert.NotNull(await commit.SubmitAsync());

        Assert.Equal("a", (await books.ReadAsync<Thing>(Book, "thing|1"))!.Value.Name);
        Assert.Equal(100, (await ledger.ReadAsync(Book, Account.MerchantAvailable, Currency.HKD)).Balance.Minor);
        Assert.Equal(["event", "outbox", "post", "post", "req", "thing"], (await rows()).Select(r => r.RowKey.Split('|')[0]).Order());
    }

    [Fact]
    public async Task Of_two_writers_the_second_learns_that_it_came_late()
    {
        await InsertAsync("thing|1", "a");
        var row = (await books.ReadAsync<Thing>(Book, "thing|1"))!;
        var (first, second) = (Begin(), Begin());
        first.Replace(row.Key, row.ETag, new Thing("first"));
        second.Replace(row.Key, row.ETag, new Thing("second"));
        second.Insert("thing|2", new Thing("must not be there"));
        Assert.NotNull(await first.SubmitAsync());
        Assert.Null(await second.SubmitAsync());
        Assert.Equal("first", (await books.ReadAsync<Thing>(Book, "thing|1"))!.Value.Name);
        Assert.Null(await books.ReadAsync<Thing>(Book, "thing|2"));
    }

    [Fact]
    public async Task A_row_that_exists_is_not_inserted_over()
    {
        await InsertAsync("thing|1", "a");
        var commit = Begin();
        commit.Insert("thing|1", new Thing("b"));
        Assert.Null(await commit.SubmitAsync());
    }

    [Fact]
    public async Task A_lost_answer_is_not_taken_for_a_conflict_and_counts_once()
    {
        await InsertAsync("thing|0", "warm");
        DropOnce(Disturbance.DropAnswer);
        var commit = Begin();
        commit.Insert("thing|1", new Thing("a"));
        commit.Post("charge", "ch_1", (Clearing, Hkd(-100)), (Account.MerchantAvailable, Hkd(100)));
        var committed = await commit.SubmitAsync();

        Assert.NotNull(committed);
        Assert.Equal(100, (await ledger.ReadAsync(Book, Account.MerchantAvailable, Currency.HKD)).Balance.Minor);
        Assert.Equal((await books.ReadAsync<Thing>(Book, "thing|1"))!.ETag, committed.Tag("thing|1"));
    }

    [Fact]
    public async Task A_lost_request_is_sent_again()
    {
        DropOnce(Disturbance.DropRequest);
        await InsertAsync("thing|1", "a");
        Assert.NotNull(await books.ReadAsync<Thing>(Book, "thing|1"));
        Assert.Equal(2, wire.Transactions);
    }

    [Fact]
    public async Task Every_answer_lost_is_still_one_commit()
    {
        wire.Decide = message => DisturbedStorage.IsTransaction(message) ? Disturbance.DropAnswer : Disturbance.None;
        var commit = Begin();
        commit.Post("charge", "ch_1", (Clearing, Hkd(-100)), (Account.MerchantAvailable, Hkd(100)));
        Assert.NotNull(await commit.SubmitAsync());
        Assert.Equal(1, wire.Transactions);
        Assert.Equal(2, (await rows()).Count(r => r.RowKey.StartsWith("post|", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Storage_that_is_gone_is_told_and_not_guessed()
    {
        await InsertAsync("thing|0", "warm");
        wire.Decide = _ => Disturbance.DropRequest;
        var commit = Begin();
        commit.Insert("thing|1", new Thing("a"));
        await Assert.ThrowsAsync<StorageException>(commit.SubmitAsync);
    }

    [Fact]
    public async Task After_a_lost_answer_a_row_that_somebody_changed_meanwhile_cannot_be_overwritten()
    {
        await InsertAsync("thing|0", "warm");
        var other = Task.CompletedTask;
        wire.Decide = message =>
        {
            if (!DisturbedStorage.IsTransaction(message)) return Disturbance.None;
            wire.Decide = read =>
            {
                // Between our lost answer and our reading back, another writer changes the row.
                wire.Decide = _ => Disturbance.None;
                other = Task.Run(async () =>
                {
                    var row = (await books.ReadAsync<Thing>(Book, "thing|1"))!;
                    var theirs = Begin();
                    theirs.Replace(row.Key, row.ETag, new Thing("theirs"));
                    Assert.NotNull(await theirs.SubmitAsync());
                });
                other.Wait(TimeSpan.FromSeconds(10));
                return Disturbance.None;
            };
            return Disturbance.DropAnswer;
        };
        var commit = Begin();
        commit.Insert("thing|1", new Thing("ours"));
        var committed = await commit.SubmitAsync();
        await other;

        Assert.NotNull(committed);
        var next = Begin();
        next.Replace("thing|1", committed.Tag("thing|1"), new Thing("blind"));
        Assert.Null(await next.SubmitAsync());
        Assert.Equal("theirs", (await books.ReadAsync<Thing>(Book, "thing|1"))!.Value.Name);
    }

    [Fact]
    public async Task Entries_must_balance_in_each_currency()
    {
        var commit = Begin();
        commit.Post("charge", "ch_1", (Clearing, Hkd(-100)), (Account.MerchantAvailable, new Money(100, Currency.USD)));
        await Assert.ThrowsAsync<InvalidOperationException>(commit.SubmitAsync);
        Assert.Equal(0, wire.Transactions);
    }

    [Fact]
    public async Task Money_held_for_others_is_not_debited_without_the_head()
    {
        var commit = Begin();
        commit.Post("adjustment", "x", (Clearing, Hkd(100)), (Account.MerchantAvailable, Hkd(-100)));
        await Assert.ThrowsAsync<InvalidOperationException>(commit.SubmitAsync);
        Assert.Equal(0, wire.Transactions);
    }

    [Fact]
    public async Task A_commit_has_at_most_a_hundred_rows_each_once()
    {
        var many = Begin();
        for (var i = 0; i < 100; i++) many.Mark("mark|" + i);
        await Assert.ThrowsAsync<InvalidOperationException>(many.SubmitAsync);

        var twice = Begin();
        twice.Mark("mark|1");
        twice.Unmark("mark|1");
        await Assert.ThrowsAsync<InvalidOperationException>(twice.SubmitAsync);

        var full = Begin();
        for (var i = 0; i < 99; i++) full.Mark("mark|" + i);
        Assert.NotNull(await full.SubmitAsync());
    }

    [Fact]
    public async Task Of_debits_at_once_no_more_win_than_the_balance_covers_while_credits_pour_in()
    {
        await CreditAsync(1000);
        var credits = Enumerable.Range(0, 20).Select(_ => CreditAsync(10));
        var debits = Enumerable.Range(0, 20).Select(_ => TryDebitAsync(100)).ToList();
        await Task.WhenAll(credits.Concat<Task>(debits));
        var won = 0;
        foreach (var debit in debits) won += await debit ? 1 : 0;

        Assert.InRange(won, 1, 12);
        Assert.Equal(1200 - won * 100, (await ledger.ReadAsync(Book, Account.MerchantAvailable, Currency.HKD)).Balance.Minor);
        while (await TryDebitAsync(100)) won++;
        Assert.Equal(12, won);
    }

    [Fact]
    public async Task A_debit_moves_the_cut_but_leaves_it_a_minute_behind()
    {
        await CreditAsync(1000);
        time.Advance(TimeSpan.FromSeconds(90));
        await CreditAsync(500);
        Assert.True(await TryDebitAsync(100));
        var head = (await books.ReadAsync<Head>(Book, LedgerKeys.Head(Account.MerchantAvailable, Currency.HKD)))!.Value;
        Assert.Equal((1000, time.GetUtcNow() - Head.Lag), (head.Sum, head.Cut));
        Assert.Equal(1400, (await ledger.ReadAsync(Book, Account.MerchantAvailable, Currency.HKD)).Balance.Minor);
    }

    private static Money Hkd(long minor) => new(minor, Currency.HKD);

    private Commit Begin() => books.Begin(Book, "req_test", "test");

    private async Task InsertAsync(string key, string name)
    {
        var commit = Begin();
        commit.Insert(key, new Thing(name));
        Assert.NotNull(await commit.SubmitAsync());
    }

    private async Task CreditAsync(long amount)
    {
        var commit = Begin();
        commit.Post("charge", "ch_1", (Clearing, Hkd(-amount)), (Account.MerchantAvailable, Hkd(amount)));
        Assert.NotNull(await commit.SubmitAsync());
    }

    private async Task<bool> TryDebitAsync(long amount)
    {
        while (true)
        {
            var held = await ledger.ReadAsync(Book, Account.MerchantAvailable, Currency.HKD);
            if (held.Balance.Minor < amount) return false;
            var commit = Begin();
            held.Take(commit, Hkd(-amount), "x");
            commit.Post("adjustment", "x", (Clearing, Hkd(amount)), (Account.MerchantAvailable, Hkd(-amount)));
            if (await commit.SubmitAsync() is not null) return true;
        }
    }

    private void DropOnce(Disturbance disturbance)
    {
        var dropped = 0;
        wire.Decide = message => DisturbedStorage.IsTransaction(message) && Interlocked.Exchange(ref dropped, 1) == 0 ? disturbance : Disturbance.None;
    }

    private sealed record Thing(string Name);
}
