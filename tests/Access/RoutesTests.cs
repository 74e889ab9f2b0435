using Harbour.Access;
using Harbour.Foundation;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Primitives;

namespace Harbour.Tests.Access;

public sealed class RoutesTests
{
    private static readonly Routes Ours = new(typeof(Routes).Assembly.GetTypes());

    /// <summary>The catalogue cannot be built when a function says neither; this test is what fails then.</summary>
    [Fact]
    public void Every_http_function_says_who_may_call_it() => Assert.NotEmpty(Ours.All);

    [Fact]
    public void Everything_under_v1_needs_a_credential() =>
        Assert.DoesNotContain(Ours.All, r => r.IsPublic && r.Template.StartsWith("v1/", StringComparison.Ordinal));

    [Fact]
    public void Every_route_is_found_by_the_name_of_its_function() => Assert.All(Ours.All, r => Assert.Equal(r, Ours.Of(r.Name)));

    [Theory]
    [InlineData(typeof(Neither))]
    [InlineData(typeof(Both))]
    [InlineData(typeof(NoSuchScope))]
    public void A_function_that_does_not_say_who_may_call_it_stops_the_start(Type type) =>
        Assert.Throws<InvalidOperationException>(() => new Routes([type]));

    [Theory]
    [InlineData("/v1/probes", "GET POST")]
    [InlineData("/v1/probes/", "GET POST")]
    [InlineData("/V1/Probes", "GET POST")]
    [InlineData("/v1/probes/x", "GET")]
    [InlineData("/v1/probes/x/y", "")]
    [InlineData("/v1", "")]
    [InlineData("/", "")]
    public void A_path_knows_its_methods(string path, string methods) =>
        Assert.Equal(methods, string.Join(' ', new Routes([typeof(Several)]).MethodsAt(path)));

    [Theory]
    [InlineData("k", true)]
    [InlineData("!~", true)]
    [InlineData("", false)]
    [InlineData("a b", false)]
    [InlineData("a\t", false)]
    [InlineData("é", false)]
    [InlineData("\u007f", false)]
    public void An_idempotency_key_is_visible_ascii(string key, bool valid) => Assert.Equal(valid, Gate.IsIdempotencyKey(key));

    [Fact]
    public void An_idempotency_key_comes_once_and_has_at_most_255_characters()
    {
        Assert.True(Gate.IsIdempotencyKey(new string('k', 255)));
        Assert.False(Gate.IsIdempotencyKey(new string('k', 256)));
        Assert.False(Gate.IsIdempotencyKey(new StringValues(["a", "b"])));
        Assert.False(Gate.IsIdempotencyKey(StringValues.Empty));
    }

    [Theory]
    [InlineData("", Language.English)]
    [InlineData("zh-HK", Language.TraditionalChinese)]
    [InlineData("zh-Hant", Language.TraditionalChinese)]
    [InlineData("zh-Hant-HK, en;q=0.5", Language.TraditionalChinese)]
    [InlineData("ZH-hk", Language.TraditionalChinese)]
    [InlineData("en;q=0.5, zh-HK;q=0.8", Language.TraditionalChinese)]
    [InlineData("zh-HK;q=0.5, en", Language.English)]
    [InlineData("zh-HK;q=0", Language.English)]
    [InlineData("fr, zh-HK", Language.TraditionalChinese)]
    [InlineData("fr", Language.English)]
    [InlineData("zh-CN, en", Language.English)]
    [InlineData(";;;,,", Language.English)]
    public void The_language_is_the_one_that_the_caller_likes_best(string header, Language language) => Assert.Equal(language, Call.LanguageOf(header));

    private sealed class Neither
    {
        [Function("Neither")]
        public static void Run([HttpTrigger(AuthorizationLevel.Anonymous, "get")] HttpRequest request) => Assert.NotNull(request);
    }

    private sealed class Both
    {
        [Function("Both"), Public, Access("charges:read")]
        public static void Run([HttpTrigger(AuthorizationLevel.Anonymous, "get")] HttpRequest request) => Assert.NotNull(request);
    }

    private sealed class NoSuchScope
    {
        [Function("NoSuchScope"), Access("charges:steal")]
        public static void Run([HttpTrigger(AuthorizationLevel.Anonymous, "get")] HttpRequest request) => Assert.NotNull(request);
    }

    private sealed class Several
    {
        [Function("List"), Access("charges:read")]
        public static void List([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/probes")] HttpRequest request) => Assert.NotNull(request);

        [Function("Create"), Access("charges:write")]
        public static void Create([HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "v1/probes")] HttpRequest request) => Assert.NotNull(request);

        [Function("Read"), Access("charges:read")]
        public static void Read([HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "v1/probes/{id}")] HttpRequest request) => Assert.NotNull(request);

        [Function("Else"), Public]
        public static void Else([HttpTrigger(AuthorizationLevel.Anonymous, Route = "{*path}")] HttpRequest request) => Assert.NotNull(request);
    }
}
