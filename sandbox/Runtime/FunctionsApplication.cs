using Harbour.Sandbox.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Azure.Functions.Worker.Middleware;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

// The builder that functions/Program.cs is written against. In Azure it makes a worker beside the Functions host; here it
// makes both in one: a web application whose endpoints are the functions.

namespace Microsoft.Azure.Functions.Worker
{
    public interface IFunctionsWorkerApplicationBuilder
    {
        IServiceCollection Services { get; }

        IFunctionsWorkerApplicationBuilder Use(Func<FunctionExecutionDelegate, FunctionExecutionDelegate> middleware);
    }
}

namespace Microsoft.Azure.Functions.Worker.Builder
{
    public class FunctionsApplication
    {
        public static FunctionsApplicationBuilder CreateBuilder(string[] args) => new(args);
    }

    public class FunctionsApplicationBuilder : IHostApplicationBuilder, IFunctionsWorkerApplicationBuilder
    {
        private readonly WebApplicationBuilder _web;
        private readonly List<Func<FunctionExecutionDelegate, FunctionExecutionDelegate>> _middleware = [];

        internal FunctionsApplicationBuilder(string[] args)
        {
            // Empty on purpose: no environment variables, no appsettings.json, no user secrets. What the sandbox runs with
            // is what it was given, on every machine.
            _web = WebApplication.CreateEmptyBuilder(new() { ContentRootPath = AppContext.BaseDirectory, EnvironmentName = "Sandbox" });
            _web.Configuration.AddCommandLine(args);
            _web.WebHost.UseKestrelCore();
            _web.Services.AddRoutingCore();
            _web.Host.UseDefaultServiceProvider(o => o.ValidateScopes = o.ValidateOnBuild = true);
            _web.Logging.AddSandboxConsole();
        }

        public IDictionary<object, object> Properties => ((IHostApplicationBuilder)_web).Properties;

        public ConfigurationManager Configuration => _web.Configuration;

        IConfigurationManager IHostApplicationBuilder.Configuration => _web.Configuration;

        public IHostEnvironment Environment => _web.Environment;

        public ILoggingBuilder Logging => _web.Logging;

        public IMetricsBuilder Metrics => _web.Metrics;

        public IServiceCollection Services => _web.Services;

        internal IWebHostBuilder WebHost => _web.WebHost;

        public IHost Build()
        {
            FunctionExecutionDelegate pipeline = Invocation.ExecuteAsync;
            for (var i = _middleware.Count - 1; i >= 0; i--) pipeline = _middleware[i](pipeline);
            Services.AddSingleton(pipeline);

            var app = _web.Build();
            app.UseForwardedHeaders();
            app.UseRouting();
            app.MapHttpFunctions();
            return app;
        }

        public void ConfigureContainer<TContainerBuilder>(IServiceProviderFactory<TContainerBuilder> factory, Action<TContainerBuilder>? configure = null)
            where TContainerBuilder : notnull => ((IHostApplicationBuilder)_web).ConfigureContainer(factory, configure);

        public IFunctionsWorkerApplicationBuilder Use(Func<FunctionExecutionDelegate, FunctionExecutionDelegate> middleware)
        {
            _middleware.Add(middleware);
            return this;
        }
    }

    public static class FunctionsApplicationBuilderAspNetCoreExtensions
    {
        /// <summary>As in the worker: MVC's services, for functions that return an IActionResult, and all forwarded headers from a loopback proxy.</summary>
        public static FunctionsApplicationBuilder ConfigureFunctionsWebApplication(this FunctionsApplicationBuilder builder)
        {
            builder.Services.AddMvcCore();
            builder.Services.Configure<ForwardedHeadersOptions>(o => o.ForwardedHeaders = ForwardedHeaders.All);
            return builder;
        }
    }
}

namespace Microsoft.Extensions.Hosting
{
    public static class MiddlewareWorkerApplicationBuilderExtensions
    {
        public static IFunctionsWorkerApplicationBuilder UseMiddleware<T>(this IFunctionsWorkerApplicationBuilder builder)
            where T : class, IFunctionsWorkerMiddleware
        {
            builder.Services.AddSingleton<T>();
            return builder.Use(next => context => context.InstanceServices.GetRequiredService<T>().Invoke(context, next));
        }

        public static IFunctionsWorkerApplicationBuilder UseMiddleware(
            this IFunctionsWorkerApplicationBuilder builder, Func<FunctionContext, Func<Task>, Task> middleware) =>
            builder.Use(next => context => middleware(context, () => next(context)));
    }
}
