using System.Text;
using Harbour.Access;

namespace Harbour.Tests.Access;

public sealed class RequestHashTests
{
    [Theory]
    [InlineData("""{"a":1,"b":[1,2]}""", """ { "b" : [ 1 , 2 ] , "a" : 1 } """)]
    [InlineData("""{"a":{"x":1,"y":null}}""", """{"a":{"y":null,"x":1}}""")]
    [InlineData("""{"a":"é/\""}""", """{"\u0061":"\u00e9\/\u0022"}""")]
    public void The_same_content_is_the_same_request(string one, string other) => Assert.Equal(Of(one), Of(other));

    [Theory]
    [InlineData("""{"a":1}""", """{"a":2}""")]
    [InlineData("""{"a":1}""", """{"a":1.0}""")]
    [InlineData("""{"a":1}""", """{"a":"1"}""")]
    [InlineData("""{"a":[1,2]}""", """{"a":[2,1]}""")]
    [InlineData("""{"a":null}""", """{}""")]
    [InlineData("""{"a":1,"a":1}""", """{"a":1}""")]
    [InlineData("", """{}""")]
    [InlineData("", "null")]
    [InlineData("not json", "not  json")]
    [InlineData("""{"a":"\ud800"}""", """{"a":"\ud801"}""")]
    public void Other_content_is_another_request(string one, string other) => Assert.NotEqual(Of(one), Of(other));

    [Fact]
    public void Method_and_path_belong_to_the_request()
    {
        Assert.NotEqual(Of("{}"), Of("{}", path: "/v1/refunds"));
        Assert.NotEqual(Of("{}"), Of("{}", method: "PUT"));
    }

    [Fact]
    public void No_bytes_are_too_strange_to_hash()
    {
        var random = new Random(7);
        for (var i = 0; i < 2000; i++)
        {
            var bytes = new byte[random.Next(40)];
            random.NextBytes(bytes);
            Assert.Equal(64, RequestHash.Of("POST", "/", bytes).Length);
        }

        Assert.Equal(64, Of(new string('[', 5000)).Length);
    }

    private static string Of(string body, string method = "POST", string path = "/v1/charges") => RequestHash.Of(method, path, Encoding.UTF8.GetBytes(body));
}
