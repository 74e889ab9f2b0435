using Harbour.Foundation;

namespace Harbour.Customers;

/// <summary>What a caller says of a customer; on a change, null leaves a field as it is.</summary>
public sealed record CustomerFields(string? Name, string? Email, string? Phone, string? Reference, string? Description, IReadOnlyDictionary<string, string>? Metadata)
{
    /// <param name="body">A field that is null or missing says nothing; one that is empty takes away what was there.</param>
    public static Result<CustomerFields> Read(ReadOnlyMemory<byte> body)
    {
        if (!Fields.Parse(body).Ok(out var fields, out var malformed)) return malformed;
        var email = fields.Text("email", 254);
        if (email is { Length: > 0 } && !IsAddress(email)) fields.Refuse(Errors.FieldInvalid.At("email", "an e-mail address"));
        var read = new CustomerFields(
            fields.Text("name", 200), email, fields.Text("phone", 40), fields.Text("reference", 128), fields.Text("description", 500), fields.MaybeMetadata());
        return fields.Finish() is { } refusal ? refusal : read;
    }

    /// <summary>Something on both sides of one @: whether mail arrives there, only mail can tell.</summary>
    private static bool IsAddress(string text) => text.IndexOf('@') is > 0 and var at && at == text.LastIndexOf('@') && at < text.Length - 1 && !text.Any(char.IsWhiteSpace);
}

/// <summary>
/// A customer is somebody who pays the merchant again. It is the merchant's own record: two customers may have the same name or
/// address. It is never taken away, because charges name it.
/// </summary>
public sealed record Customer : IHasId
{
    public static string Prefix => "cus_";

    public required Id<Customer> Id { get; init; }
    public required Mode Mode { get; init; }
    public string? Name { get; init; }
    public string? Email { get; init; }
    public string? Phone { get; init; }
    public string? Reference { get; init; }
    public string? Description { get; init; }
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    /// <summary>The customer's id at each provider where a payment method of theirs is stored. Never shown.</summary>
    public IReadOnlyDictionary<string, string> AtProviders { get; init; } = new Dictionary<string, string>();

    public int Version { get; init; } = 1;
    public required string RequestId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    public static Customer New(Id<Customer> id, Mode mode, CustomerFields fields, string requestId, DateTimeOffset now) => new()
    {
        Id = id,
        Mode = mode,
        Name = Kept(fields.Name, null),
        Email = Kept(fields.Email, null),
        Phone = Kept(fields.Phone, null),
        Reference = Kept(fields.Reference, null),
        Description = Kept(fields.Description, null),
        Metadata = fields.Metadata ?? new Dictionary<string, string>(),
        RequestId = requestId,
        CreatedAt = id.MadeAt,
        UpdatedAt = now,
    };

    /// <summary>The customer with what was said changed.</summary>
    public Customer Changed(CustomerFields fields, DateTimeOffset now) => this with
    {
        Name = Kept(fields.Name, Name),
        Email = Kept(fields.Email, Email),
        Phone = Kept(fields.Phone, Phone),
        Reference = Kept(fields.Reference, Reference),
        Description = Kept(fields.Description, Description),
        Metadata = fields.Metadata ?? Metadata,
        Version = Version + 1,
        UpdatedAt = now,
    };

    /// <summary>The customer with their id at a provider, which no caller sees: the version stays.</summary>
    public Customer At(string provider, string reference) => this with { AtProviders = new Dictionary<string, string>(AtProviders) { [provider] = reference } };

    private static string? Kept(string? said, string? before) => said switch { null => before, "" => null, _ => said };
}

/// <summary>The customer as the API shows it.</summary>
public sealed record CustomerView(
    string Id, string Object, Mode Mode, string? Name, string? Email, string? Phone, string? Reference, string? Description,
    IReadOnlyDictionary<string, string> Metadata, int Version, string RequestId, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
{
    public static CustomerView Of(Customer customer) => new(
        customer.Id.Value, "customer", customer.Mode, customer.Name, customer.Email, customer.Phone, customer.Reference, customer.Description,
        customer.Metadata, customer.Version, customer.RequestId, customer.CreatedAt, customer.UpdatedAt);
}
