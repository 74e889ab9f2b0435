using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace Harbour.Customers;

/// <summary>Keeps the merchant's customers.</summary>
public sealed class CustomerFunctions(CustomerOperations operations, CustomerStore store)
{
    [Function("CreateCustomer"), Access("customers:write")]
    public async Task<IResult> Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/customers")] HttpRequest http)
    {
        var call = Call.Of(http);
        if (!CustomerFields.Read(call.Body).Ok(out var fields, out var refusal)) return call.Problem(refusal);
        return await operations.CreateAsync(call, fields);
    }

    [Function("UpdateCustomer"), Access("customers:write")]
    public async Task<IResult> Update([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/customers/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Customer>.TryParse(id, out var customer)) return call.Problem(Errors.CustomerNotFound);
        if (!CustomerFields.Read(call.Body).Ok(out var fields, out var refusal)) return call.Problem(refusal);
        return await operations.UpdateAsync(call, customer, fields);
    }

    [Function("GetCustomer"), Access("customers:read")]
    public async Task<IResult> Get([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/customers/{id}")] HttpRequest http, string id)
    {
        var call = Call.Of(http);
        if (!Id<Customer>.TryParse(id, out var customer)) return call.Problem(Errors.CustomerNotFound);
        return await store.FindAsync(call.Book, customer, call.Aborted) is { } row ? Answer.Ok(CustomerView.Of(row.Value)) : call.Problem(Errors.CustomerNotFound);
    }

    [Function("ListCustomers"), Access("customers:read")]
    public async Task<IResult> List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/customers")] HttpRequest http)
    {
        var call = Call.Of(http);
        var query = new QueryFields(http.Query);
        var (limit, cursor) = (query.Limit(), query.Id<Customer>("cursor"));
        var filter = new CustomerFilter(query.Text("reference", 128), query.Text("email", 254), query.Time("created_after"), query.Time("created_before"));
        if (query.Finish() is { } refusal) return call.Problem(refusal);
        var page = await store.ListAsync(call.Book, filter, cursor, limit, call.Aborted);
        return Answer.List(new Page<CustomerView>([.. page.Data.Select(CustomerView.Of)], page.NextCursor));
    }
}
