"""torch and tensordict on one side, the wire's columns on the other (docs/wire.md, section 2).

Imports both when it is imported itself, so only at the first call that has a batch in hand.
"""

from transferqueue._tensors.columns import columns_of
from transferqueue._tensors.construct import internals, use_internals
from transferqueue._tensors.dtypes import CODES, DTYPES
from transferqueue._tensors.loaned import LoanedColumn, loaned_columns
from transferqueue._tensors.pack import Packed, pack, pack_columns, pack_row
from transferqueue._tensors.schema import schema, schema_of_columns
from transferqueue._tensors.unpack import Frame, unpack

__all__ = [
    "CODES",
    "DTYPES",
    "Frame",
    "LoanedColumn",
    "Packed",
    "columns_of",
    "internals",
    "loaned_columns",
    "pack",
    "pack_columns",
    "pack_row",
    "schema",
    "schema_of_columns",
    "unpack",
    "use_internals",
]
