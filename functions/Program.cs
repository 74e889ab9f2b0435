using Harbour.Access;
using Harbour.Charges;
using Harbour.Customers;
using Harbour.Foundation;
using Harbour.Ledger;
using Harbour.Merchants;
using Harbour.Operations;
using Harbour.Providers;
using Harbour.Refunds;
using Harbour.Requests;
using Harbour.Subscriptions;
using Harbour.Webhooks;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Extensions.Hosting;

namespace Harbour;

/// <summary>The contents page of the function app: what it is made of, in the order it is built. Both hosts start here.</summary>
public static class Program
{
    public static Task Main(string[] args) => Create(args).Build().RunAsync();

    public static FunctionsApplicationBuilder Create(string[] args)
    {
        var builder = FunctionsApplication.CreateBuilder(args);
        builder.ConfigureFunctionsWebApplication();
        builder.UseMiddleware<Gate>();
        builder.Services
            .AddFoundation()
            .AddMerchants()
            .AddAccess()
            .AddProviders()
            .AddLedger()
            .AddCustomers()
            .AddCharges()
            .AddRefunds()
            .AddSubscriptions()
            .AddWebhooks()
            .AddRequests()
            .AddOperations();
        return builder;
    }
}
