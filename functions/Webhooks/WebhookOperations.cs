using Harbour.Access;
using Harbour.Foundation;

namespace Harbour.Webhooks;

/// <summary>
/// Makes, changes and takes away the endpoints of a merchant. The answer that shows a secret is kept for the idempotency key like any
/// other, but sealed, as the secret itself is: no row holds one in clear.
/// </summary>
public sealed class WebhookOperations(Books books, WebhookStore store, WebhookSecrets secrets, Idempotency idempotency, Ids ids, TimeProvider time)
{
    public async Task<Answer> CreateAsync(Call call, EndpointRequest request)
    {
        var box = await secrets.OpenAsync(call.Aborted);
        return await idempotency.RunWholeAsync(call, async keep =>
        {
            var count = await store.CountAsync(call.Book);
            if (count?.Value.Count >= WebhookEndpoint.MaxPerBook) return call.Problem(Errors.LimitExceeded.With(WebhookEndpoint.MaxPerBook, "webhook endpoints"));

            var (id, secret) = (ids.New<WebhookEndpoint>(), secrets.Make());
            var endpoint = new WebhookEndpoint
            {
                Id = id,
                Mode = call.Mode,
                Url = request.Url!,
                Events = request.Events!.Value,
                Description = request.Description,
                Secrets = [new EndpointSecret(box.Seal(secret.Reveal(), id.Value))],
                CreatedAt = id.MadeAt,
                UpdatedAt = id.MadeAt,
            };
            var answer = Answer.Of(201, WebhookEndpointView.Of(endpoint, id.MadeAt, secret));
            var commit = books.Begin(call.Book, call.RequestId, "webhook_endpoint.create");
            WebhookStore.Insert(commit, endpoint, count);
            keep(commit, id.Value, answer);
            return await commit.SubmitAsync() is null ? null : answer;
        }, text => box.Seal(text, call.Book.Partition), text => box.Open(text, call.Book.Partition).Reveal());
    }

    public Task<Answer> ChangeAsync(Call call, Id<WebhookEndpoint> id, EndpointRequest request) =>
        idempotency.RunWholeAsync(call, keep => WriteAsync(call, id, "webhook_endpoint.change", keep, (before, now) => before.Change(request, now), null));

    /// <summary>Makes a new secret.</summary>
    /// <param name="overlap">How long the old one signs on beside it.</param>
    public async Task<Answer> RotateAsync(Call call, Id<WebhookEndpoint> id, TimeSpan overlap)
    {
        var (box, secret) = (await secrets.OpenAsync(call.Aborted), secrets.Make());
        return await idempotency.RunWholeAsync(
            call, keep => WriteAsync(call, id, "webhook_endpoint.rotate_secret", keep, (before, now) => before.Rotate(box.Seal(secret.Reveal(), id.Value), now + overlap, now), secret),
            text => box.Seal(text, call.Book.Partition), text => box.Open(text, call.Book.Partition).Reveal());
    }

    /// <summary>Takes an endpoint away. What is still on its way to it ends as failed when its time comes.</summary>
    public async Task<Answer> DeleteAsync(Call call, Id<WebhookEndpoint> id)
    {
        for (var round = 0; round < Idempotency.MaxRounds; round++)
        {
            var (endpoint, count) = (await store.FindEndpointAsync(call.Book, id), await store.CountAsync(call.Book));
            if (endpoint is null || count is null) return call.Problem(Errors.WebhookEndpointNotFound);
            var commit = books.Begin(call.Book, call.RequestId, "webhook_endpoint.delete");
            WebhookStore.Remove(commit, endpoint, count);
            if (await commit.SubmitAsync() is not null) return Answer.Ok(new { id, Object = "webhook_endpoint", Deleted = true });
        }

        return call.Problem(Errors.ConcurrentUpdate with { RetryAfter = TimeSpan.FromSeconds(1) });
    }

    private async Task<Answer?> WriteAsync(
        Call call, Id<WebhookEndpoint> id, string operation, KeepAnswer keep, Func<WebhookEndpoint, DateTimeOffset, Result<WebhookEndpoint>> change, Secret? secret)
    {
        if (await store.FindEndpointAsync(call.Book, id) is not { } before) return call.Problem(Errors.WebhookEndpointNotFound);
        var now = time.GetUtcNow();
        if (!change(before.Value, now).Ok(out var after, out var refusal)) return call.Problem(refusal);
        var answer = Answer.Ok(WebhookEndpointView.Of(after, now, secret));
        var commit = books.Begin(call.Book, call.RequestId, operation);
        commit.Replace(before.Key, before.ETag, after);
        keep(commit, id.Value, answer);
        return await commit.SubmitAsync() is null ? null : answer;
    }
}
