using System.Collections;
using System.Reflection;

namespace TransferQueue.Tests.Protocol;

/// <summary>Says all that a message holds as text, so that two of them can be compared by content.</summary>
internal static class Described
{
    internal static string Of(object? value) => value switch
    {
        null => "nil",
        string text => $"'{text}'",
        ReadOnlyMemory<byte> bytes => "0x" + Convert.ToHexString(bytes.Span),
        ReadOnlyMemory<long> numbers => Of(numbers.ToArray()),
        ReadOnlyMemory<sbyte> numbers => Of(numbers.ToArray()),
        IEnumerable items => IsDefault(items) ? "default" : "[" + string.Join(", ", items.Cast<object?>().Select(Of)) + "]",
        _ when value.GetType() is { IsPrimitive: false, IsEnum: false } type && type.Namespace!.StartsWith("TransferQueue", StringComparison.Ordinal) =>
            type.Name + "{" + string.Join(", ", State(type).Select(field => field.Name + "=" + Of(field.GetValue(value)))) + "}",
        _ => value.ToString()!,
    };

    private static IEnumerable<FieldInfo> State(Type type) =>
        type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(field => field.Name, StringComparer.Ordinal);

    private static bool IsDefault(IEnumerable items) => items.GetType().GetProperty("IsDefault")?.GetValue(items) is true;
}
