"""dtype numbers: torch's, and the core's."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from transferqueue._tensors.dtypes import CODES, DTYPES, NO_TENSOR

CORE = Path(__file__).parents[3] / "dotnet" / "TransferQueue.Core" / "Columns" / "DType.cs"
RENAMED = {"float8e5m2": "float8_e5m2", "float8e4m3fn": "float8_e4m3fn", "float8e5m2fnuz": "float8_e5m2fnuz"}
RENAMED |= {"float8e4m3fnuz": "float8_e4m3fnuz", "float8e8m0fnu": "float8_e8m0fnu"}


def test_the_numbers_are_the_cores() -> None:
    body = re.search(r"enum DType : sbyte\s*\{(.*?)\n\}", CORE.read_text(), re.DOTALL)
    assert body is not None
    core = {int(number): name.lower() for name, number in re.findall(r"^\s*(\w+) = (-?\d+),", body[1], re.MULTILINE)}
    assert core.pop(NO_TENSOR) == "none"
    assert {code: str(dtype) for code, dtype in DTYPES.items()} == {
        code: f"torch.{RENAMED.get(name, name)}" for code, name in core.items()
    }


def test_the_numbers_are_those_that_torch_writes_into_scripts() -> None:
    # TorchScript stores a dtype as its ScalarType number: the only place where torch's Python shows it.
    for dtype, code in CODES.items():
        function = torch.jit.CompilationUnit(f"def f():\n    return {dtype}\n").f
        assert function() == code


def test_every_number_leads_back_to_its_dtype() -> None:
    assert {CODES[dtype]: dtype for dtype in CODES} == DTYPES
