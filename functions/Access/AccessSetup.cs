using Microsoft.Extensions.DependencyInjection;

namespace Harbour.Access;

public static class AccessSetup
{
    /// <summary>What the <see cref="Gate"/> needs. The host adds the Gate itself as middleware.</summary>
    public static IServiceCollection AddAccess(this IServiceCollection services) => services
        .AddSingleton(_ => new Routes(typeof(Routes).Assembly.GetTypes()))
        .AddSingleton<CredentialStore>()
        .AddSingleton<CredentialCache>()
        .AddSingleton<SigningKeys>()
        .AddSingleton<AccessTokens>()
        .AddSingleton<RateLimiter>()
        .AddSingleton<RequestLog>()
        .AddHostedService<RequestLogWriter>()
        .AddSingleton<Idempotency>();
}
