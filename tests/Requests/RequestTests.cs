using Harbour.Foundation;
using Harbour.Requests;

namespace Harbour.Tests.Requests;

public sealed class RequestTests
{
    private const string Key = "01jdb0000000000000000000ab";

    [Theory]
    [InlineData("Add:charge|", "charge", "ch_", "created")]
    [InlineData("UpdateReplace:refund|", "refund", "re_", "changed")]
    [InlineData("Delete:charge|", "charge", "ch_", "deleted")]
    [InlineData("Add:event|", "event", "evt_", "created")]
    [InlineData("Add:invoice|01jdb0000000000000000000cd|", "invoice", "inv_", "created")]
    [InlineData("UpdateReplace:hook|", "webhook_endpoint", "whe_", "changed")]
    public void A_row_of_an_object_is_shown_by_its_id(string row, string kind, string prefix, string change)
    {
        Assert.Equal(new ChangedObject(kind, prefix + Key, change), CommitRecord.ObjectOf(row + Sortable.Invert(Key)));
        Assert.Equal(new ChangedObject(kind, prefix + Key, change), CommitRecord.ObjectOf(row + prefix + Key));
    }

    [Theory]
    [InlineData("Add:outbox|" + Key)]
    [InlineData("Add:open|ch_" + Key)]
    [InlineData("UpdateReplace:head|merchant_available|HKD")]
    [InlineData("Add:status|succeeded|" + Key)]
    [InlineData("Add:charge|somewhere")]
    [InlineData("charge")]
    [InlineData("")]
    public void A_row_that_only_serves_the_storage_is_not_shown(string row) => Assert.Null(CommitRecord.ObjectOf(row));
}
