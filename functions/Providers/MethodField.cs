using Harbour.Foundation;

namespace Harbour.Providers;

/// <summary>Reads the field <c>payment_method</c>, wherever a request has one.</summary>
public static class MethodField
{
    /// <summary>The type and the provider's token of a payment method; nulls where something is refused.</summary>
    /// <param name="methods">The types that can be used here.</param>
    public static (string? Type, string? Token) Read(Fields fields, IReadOnlyCollection<string> methods)
    {
        if (fields.Object("payment_method", required: true) is not { } method) return (null, null);
        var type = ReadType(fields, method, methods, required: true);
        var token = method.Text("token", 255, required: true);
        if (token is not null && !token.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
            fields.Refuse(Errors.FieldInvalid.At("payment_method.token", "a token of letters, digits, _ and -"));
        method.RefuseUnknown();
        return (type, token);
    }

    /// <summary>The type alone, where a mandate already says what is charged: another token beside it could only contradict it.</summary>
    public static string? ReadBesideMandate(Fields fields, IReadOnlyCollection<string> methods)
    {
        if (fields.Object("payment_method") is not { } method) return null;
        var type = ReadType(fields, method, methods, required: false);
        if (method.Text("token", 255) is not null) fields.Refuse(Errors.FieldInvalid.At("payment_method.token", "left out where mandate is given"));
        method.RefuseUnknown();
        return type;
    }

    private static string? ReadType(Fields fields, Fields method, IReadOnlyCollection<string> methods, bool required)
    {
        var type = method.Text("type", 40, required);
        if (type is not null && !methods.Contains(type)) fields.Refuse(Errors.PaymentMethodNotSupported.At("payment_method.type", string.Join(", ", methods)));
        return type;
    }
}
