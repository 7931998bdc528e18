"""The short ways to make nested tensors, stacks of values and TensorDicts: over torch's and tensordict's internals.

`construct` decides at run time whether they are used; nobody else calls them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict

__all__ = ["Layout", "LazyStack", "inner_tensors", "jagged", "stack_of", "stacked_values", "tensordict"]

_NO_BATCH = torch.Size([])
_set = object.__setattr__
_new = object.__new__


class Layout:
    """Where the rows of jagged tensors begin: one object for all columns whose rows have the same lengths.

    Tensors over one layout share torch's symbolic length, so arithmetic across columns works.

    Parameters
    ----------
    offsets
        int64 [B + 1], on the CPU, from 0.
    length
        The length of every row, where they are known to be the same.
    """

    __slots__ = ("_strides", "longest", "offsets", "ragged_size", "rows", "shortest")

    def __init__(self, offsets: torch.Tensor, length: int | None = None) -> None:
        self.offsets = offsets
        self.rows = offsets.shape[0] - 1
        if length is not None or not self.rows:
            self.shortest = self.longest = length or 0
        else:
            self.shortest, self.longest = map(int, offsets.diff().aminmax())
        self.ragged_size: Any = None
        self._strides: dict[int, Any] = {}

    def stride(self, slice_stride: int) -> Any:
        """The symbolic stride of the batch dimension, for a stride of one slice."""
        if self.ragged_size is None:
            from torch.nested._internal.nested_tensor import get_tensor_symint

            self.ragged_size = get_tensor_symint(self.offsets, coeff=1)  # type: ignore[no-untyped-call]
        stride = self._strides.get(slice_stride)
        if stride is None:
            stride = self._strides[slice_stride] = self.ragged_size * slice_stride
        return stride

    def extremes(self) -> dict[str, torch.Tensor]:
        """The lengths of the shortest and the longest row, kept as torch keeps them: in the shape of a tensor.

        Without them torch pads to the sum of all lengths.
        """
        return {"max_seqlen": _kept_length(self.longest), "min_seqlen": _kept_length(self.shortest)}


@functools.lru_cache(1024)
def _kept_length(length: int) -> torch.Tensor:
    """A tensor without elements whose first dimension is the length."""
    kept = torch.zeros(length, 0)
    torch._dynamo.mark_dynamic(kept, 0)
    return kept


_nested_tensor: Any = None
_keys: Any = None


def _load() -> Any:
    """torch's class of jagged tensors."""  # noqa: D403 (torch's own spelling)
    global _nested_tensor, _keys
    if _nested_tensor is None:
        from torch._C import DispatchKey, DispatchKeySet
        from torch.nested._internal.nested_tensor import NestedTensor

        _keys = DispatchKeySet(DispatchKey.NestedTensor).add(DispatchKey.AutogradNestedTensor)
        _nested_tensor = NestedTensor
    return _nested_tensor


def jagged(values: torch.Tensor, layout: Layout, ragged: int = 0) -> torch.Tensor:
    """A jagged tensor over ``values``, cut along dimension ``ragged``: with what NestedTensor's constructor sets."""
    cls = _nested_tensor or _load()
    shape, strides = values.shape, values.stride()
    all_strides = (layout.stride(strides[ragged]), *strides)
    size = (layout.rows, *shape[:ragged], layout.ragged_size, *shape[ragged + 1 :])
    tensor: Any = torch.Tensor._make_wrapper_subclass(
        cls,
        size,
        all_strides,
        0,
        torch.contiguous_format,
        values.dtype,
        torch.jagged,
        values.device,
        False,
        False,
        "sizes",
        False,
        True,
        _keys,
        storage_size=values.untyped_storage().size(),
    )
    tensor._ragged_idx = ragged + 1
    tensor._size = size
    tensor._strides = all_strides
    tensor._values = values
    tensor._offsets = layout.offsets
    tensor._lengths = None
    tensor._metadata_cache = layout.extremes()
    tensor._dynamo_propagated_dynamic_indices = {ragged + 1}
    values._dynamo_propagated_dynamic_indices = {ragged}  # type: ignore[attr-defined]
    return tensor  # type: ignore[no-any-return]


def inner_tensors(tensor: Any) -> tuple[Any, ...] | None:
    """Values, offsets, lengths and ragged index of a jagged tensor; None for any other tensor.

    Every public attribute of a jagged tensor goes through torch's Python dispatch, 5-20 µs each.
    """
    if type(tensor) is not (_nested_tensor or _load()):
        return None
    return tensor._values, tensor._offsets, tensor._lengths, tensor._ragged_idx


# --- stacks of values -----------------------------------------------------------------------------------------------


def _members(values: Sequence[Any]) -> list[Any]:
    """``[NonTensorData(data=value) for value in values]``, without what its constructor does for tensors."""
    members = []
    for value in values:
        member = _new(NonTensorData)
        _set(member, "_tensordict", TensorDict._new_unsafe({}, batch_size=_NO_BATCH, nested=False))
        _set(member, "_non_tensordict", {"data": value, "_metadata": None, "_is_non_tensor": True})
        _set(member, "_is_initialized", True)
        members.append(member)
    return members


class _MembersOnDemand:
    """Builds a stack's members at the first read, and makes the stack an ordinary one."""

    def __get__(self, stack: Any, owner: type | None = None) -> Any:
        if stack is None:
            return self
        members = _members(stack.values_on_demand())
        _set(stack, "tensordicts", members)
        stack.__class__ = NonTensorStack
        return members


class LazyStack(NonTensorStack):
    """A NonTensorStack that holds its values as a list, or a way to get them, until somebody needs its members."""

    tensordicts = _MembersOnDemand()

    def values_on_demand(self) -> list[Any]:
        """The values; decoded at the first call."""
        values = self._source
        if callable(values):
            values = values()
            _set(self, "_source", values)
        return values  # type: ignore[no-any-return]

    def tolist(self, **options: Any) -> list[Any]:
        """The values in a list; as NonTensorStack's."""
        if options.get("as_linked_list"):
            return super().tolist(**options)
        return list(self.values_on_demand())

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.tensordicts  # noqa: B018 (becomes an ordinary stack)
        return self.__reduce_ex__(protocol)


# What a TensorDict prints for the field.
LazyStack.__name__ = LazyStack.__qualname__ = NonTensorStack.__name__


def stack_of(values: Sequence[Any] | Callable[[], list[Any]], rows: int) -> Any:
    """A stack of ``rows`` values, or of those that a function will give when they are read."""
    stack = _new(LazyStack)
    _set(stack, "_is_locked", None)
    _set(stack, "stack_dim", 0)
    _set(stack, "_batch_size", torch.Size([rows]))
    _set(stack, "_source", values)
    _set(stack, "_hook_out", None)
    _set(stack, "_hook_in", None)
    return stack


def stacked_values(stack: Any) -> list[Any]:
    """The values of a NonTensorStack, one per row."""
    if type(stack) is LazyStack:
        return stack.values_on_demand()
    if stack.stack_dim == 0 and len(stack.batch_size) == 1 and set(map(type, stack.tensordicts)) == {NonTensorData}:
        return [member._non_tensordict["data"] for member in stack.tensordicts]
    return stack.tolist()  # type: ignore[no-any-return]


def tensordict(columns: dict[str, Any], rows: int) -> TensorDict:
    """A TensorDict of columns that all have ``rows`` rows."""
    return TensorDict._new_unsafe(columns, batch_size=torch.Size([rows]), nested=False)  # type: ignore[arg-type]
