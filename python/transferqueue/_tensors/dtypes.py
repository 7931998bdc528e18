"""The element types of tensor columns: torch's dtypes and their numbers on the wire.

The numbers are torch's ``ScalarType`` (c10/core/ScalarType.h), the same as the core's enum ``DType``.
"""

from __future__ import annotations

import torch

__all__ = ["CODES", "DTYPES", "NO_TENSOR"]

#: The number of a text or object column.
NO_TENSOR = -1

_NAMES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    8: "complex32",
    9: "complex64",
    10: "complex128",
    11: "bool",
    15: "bfloat16",
    23: "float8_e5m2",
    24: "float8_e4m3fn",
    25: "float8_e5m2fnuz",
    26: "float8_e4m3fnuz",
    27: "uint16",
    28: "uint32",
    29: "uint64",
    44: "float8_e8m0fnu",
}

#: torch's dtype of a number; one that this torch does not know is missing.
DTYPES: dict[int, torch.dtype] = {code: getattr(torch, name) for code, name in _NAMES.items() if hasattr(torch, name)}

#: The number of torch's dtype.
CODES: dict[torch.dtype, int] = {dtype: code for code, dtype in DTYPES.items()}
