using System.Text;
using System.Text.RegularExpressions;
using Harbour.Foundation;

namespace Harbour.Tests.Conventions;

public sealed partial class ErrorCatalogueTests
{
    private static readonly string PagePath = Path.Combine(Repository.Root, "docs", "errors.md");

    /// <summary>Set UPDATE_DOCS=1 and run this test to write the page anew.</summary>
    [Fact]
    public void The_page_says_what_the_catalogue_says()
    {
        var page = Page();
        if (Environment.GetEnvironmentVariable("UPDATE_DOCS") == "1") File.WriteAllText(PagePath, page);
        Assert.Equal(page, File.ReadAllText(PagePath));
    }

    [Fact]
    public void Codes_are_unique_and_in_snake_case()
    {
        Assert.Equal(Errors.All.Count, Errors.All.Select(e => e.Code).Distinct().Count());
        Assert.All(Errors.All, e => Assert.Matches(SnakeCase(), e.Code));
    }

    [Fact]
    public void Every_refusal_speaks_both_languages() =>
        Assert.All(Errors.All, e =>
        {
            Assert.Matches(Han(), e.Title.Chinese);
            Assert.Matches(Han(), e.Text.Chinese);
            Assert.DoesNotMatch(Han(), e.Title.English + e.Text.English);
        });

    [Fact]
    public void Only_what_may_succeed_later_is_retryable() =>
        Assert.All(Errors.All.Where(e => e.Retryable), e => Assert.Contains(e.Status, new[] { 409, 429, 500, 503 }));

    private static string Page()
    {
        var page = new StringBuilder("""
            # Errors

            Made from the catalogue in `functions/Foundation/Errors.cs`; a test compares the two, and with `UPDATE_DOCS=1` writes this page.
            Every refusal is `application/problem+json` (RFC 9457). `code` never changes; `title` and `detail` follow `Accept-Language`
            (`zh-HK` and `zh-Hant` give Traditional Chinese). In a detail, `{param}` is the field meant and `{0}` an argument.

            | status | code | retryable | title | 標題 | detail | 說明 |
            |---|---|---|---|---|---|---|

            """);
        foreach (var e in Errors.All.OrderBy(e => e.Status))
            page.Append($"| {e.Status} | `{e.Code}` | {(e.Retryable ? "yes" : "no")} | {e.Title.English} | {e.Title.Chinese} | {e.Text.English} | {e.Text.Chinese} |\n");
        return page.ToString();
    }

    [GeneratedRegex("^[a-z]+(_[a-z0-9]+)*$")]
    private static partial Regex SnakeCase();

    [GeneratedRegex(@"\p{IsCJKUnifiedIdeographs}")]
    private static partial Regex Han();
}
