using Harbour.Access;
using Harbour.Foundation;
using Harbour.Providers;

namespace Harbour.Customers;

/// <summary>How customers are made and changed: one commit each, which binds the idempotency key to its answer as well.</summary>
public sealed class CustomerOperations(Books books, CustomerStore store, Router router, Idempotency idempotency, Ids ids, TimeProvider time)
{
    public Task<Row<Customer>?> FindAsync(Book book, Id<Customer> id, CancellationToken cancellation = default) => store.FindAsync(book, id, cancellation);

    public Task<Answer> CreateAsync(Call call, CustomerFields fields) => idempotency.RunAsync(call, async (key, known) =>
    {
        var now = time.GetUtcNow();
        var customer = Customer.New(ids.New<Customer>(), call.Mode, fields, call.RequestId, now);
        var answer = Answer.Of(201, CustomerView.Of(customer));
        var commit = books.Begin(call.Book, call.RequestId, "customer.create");
        Idempotency.Put(commit, key, known, Idempotency.Claim(call, customer.Id.Value, known, now).Answered(answer));
        CustomerStore.Insert(commit, customer);
        return await commit.SubmitAsync() is null ? null : answer;
    }, NeverHalfDone);

    public Task<Answer> UpdateAsync(Call call, Id<Customer> id, CustomerFields fields) => idempotency.RunAsync(call, async (key, known) =>
    {
        if (await store.FindAsync(call.Book, id) is not { } row) return call.Problem(Errors.CustomerNotFound);
        var now = time.GetUtcNow();
        var customer = row.Value.Changed(fields, now);
        var answer = Answer.Of(200, CustomerView.Of(customer));
        var commit = books.Begin(call.Book, call.RequestId, "customer.update");
        Idempotency.Put(commit, key, known, Idempotency.Claim(call, id.Value, known, now).Answered(answer));
        CustomerStore.Replace(commit, row, customer);
        return await commit.SubmitAsync() is null ? null : answer;
    }, NeverHalfDone);

    /// <summary>
    /// The customer's id at a provider, made there if there is none yet. It takes no money and is made under our own id, so a call
    /// that ends half-way leaves nothing that the next one does not find.
    /// </summary>
    public async Task<Result<string>> AtProviderAsync(Book book, Row<Customer> row, string provider, string requestId)
    {
        if (row.Value.AtProviders.TryGetValue(provider, out var there)) return there;
        var outcome = await router.Named(provider).CreateCustomerAsync(new ProviderNewCustomer(row.Value.Id.Value, book.Mode, book.Merchant, requestId), CancellationToken.None);
        if (outcome is ProviderOutcome.Refused) return Errors.ProviderRefused;
        if (outcome is not ProviderOutcome.KnownCustomer made) return Errors.ProviderUnavailable with { RetryAfter = TimeSpan.FromSeconds(5) };

        for (var round = 0; round < Idempotency.MaxRounds; round++)
        {
            var commit = books.Begin(book, requestId, "customer.provider");
            CustomerStore.Replace(commit, row, row.Value.At(provider, made.Reference));
            if (await commit.SubmitAsync() is not null) return made.Reference;
            row = await store.FindAsync(book, row.Value.Id) ?? throw new InvalidDataException($"{row.Value.Id} is gone.");
            if (row.Value.AtProviders.TryGetValue(provider, out var other)) return other;
        }

        return Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromSeconds(1) };
    }

    /// <summary>A key of these operations is claimed in the commit that answers it, so there is never work to take up.</summary>
    private static Task<Answer> NeverHalfDone(Row<Claim> claim) => throw new InvalidOperationException($"{claim.Value.Object} was claimed without an answer.");
}
