namespace TransferQueue.Columns;

/// <summary>
/// The element type of a tensor column. The numbers are those of torch's <c>ScalarType</c> (c10/core/ScalarType.h), which
/// never renumbers them; they travel on the wire. Sub-byte and quantized types have no column of their own.
/// </summary>
public enum DType : sbyte
{
    /// <summary>Text and object columns: no tensor at all.</summary>
    None = -1,

    /// <summary>torch.uint8.</summary>
    UInt8 = 0,

    /// <summary>torch.int8.</summary>
    Int8 = 1,

    /// <summary>torch.int16.</summary>
    Int16 = 2,

    /// <summary>torch.int32.</summary>
    Int32 = 3,

    /// <summary>torch.int64.</summary>
    Int64 = 4,

    /// <summary>torch.float16.</summary>
    Float16 = 5,

    /// <summary>torch.float32.</summary>
    Float32 = 6,

    /// <summary>torch.float64.</summary>
    Float64 = 7,

    /// <summary>torch.complex32: two float16.</summary>
    Complex32 = 8,

    /// <summary>torch.complex64: two float32.</summary>
    Complex64 = 9,

    /// <summary>torch.complex128: two float64.</summary>
    Complex128 = 10,

    /// <summary>torch.bool: one byte, 0 or 1.</summary>
    Bool = 11,

    /// <summary>torch.bfloat16.</summary>
    BFloat16 = 15,

    /// <summary>torch.float8_e5m2.</summary>
    Float8E5M2 = 23,

    /// <summary>torch.float8_e4m3fn.</summary>
    Float8E4M3Fn = 24,

    /// <summary>torch.float8_e5m2fnuz.</summary>
    Float8E5M2Fnuz = 25,

    /// <summary>torch.float8_e4m3fnuz.</summary>
    Float8E4M3Fnuz = 26,

    /// <summary>torch.uint16.</summary>
    UInt16 = 27,

    /// <summary>torch.uint32.</summary>
    UInt32 = 28,

    /// <summary>torch.uint64.</summary>
    UInt64 = 29,

    /// <summary>torch.float8_e8m0fnu.</summary>
    Float8E8M0Fnu = 44,
}

/// <summary>What a <see cref="DType"/> measures.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element; throws for <see cref="DType.None"/> and unknown numbers.</summary>
    /// <exception cref="InvalidArgumentException">The number is no element type.</exception>
    public static int ItemSize(this DType dtype) => dtype switch
    {
        DType.UInt8 or DType.Int8 or DType.Bool or DType.Float8E5M2 or DType.Float8E4M3Fn or DType.Float8E5M2Fnuz
            or DType.Float8E4M3Fnuz or DType.Float8E8M0Fnu => 1,
        DType.Int16 or DType.UInt16 or DType.Float16 or DType.BFloat16 => 2,
        DType.Int32 or DType.UInt32 or DType.Float32 or DType.Complex32 => 4,
        DType.Int64 or DType.UInt64 or DType.Float64 or DType.Complex64 => 8,
        DType.Complex128 => 16,
        _ => throw new InvalidArgumentException($"dtype {(int)dtype}: not an element type of a tensor column"),
    };

    /// <summary>Whether the number is an element type of a tensor column.</summary>
    public static bool IsTensor(this DType dtype) => dtype != DType.None && Enum.IsDefined(dtype);
}
