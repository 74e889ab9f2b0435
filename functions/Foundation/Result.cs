using System.Diagnostics.CodeAnalysis;

namespace Harbour.Foundation;

/// <summary>Either a value or the reason why there is none.</summary>
public readonly struct Result<T>
{
    private readonly T? value;

    private Result(T? value, Error? error)
    {
        this.value = value;
        Error = error;
    }

    /// <summary>Null when there is a value.</summary>
    public Error? Error { get; }

    /// <exception cref="InvalidOperationException">There is an error instead.</exception>
    public T Value => Error is null ? value! : throw new InvalidOperationException($"There is no value but {Error.Code}.");

    /// <summary>True, with the value; or false, with the error.</summary>
    public bool Ok([MaybeNullWhen(false)] out T result, [NotNullWhen(false)] out Error? error)
    {
        (result, error) = (value, Error);
        return error is null;
    }

    public static implicit operator Result<T>(T value) => new(value, null);
    public static implicit operator Result<T>(Error error) => new(default, error);
}
