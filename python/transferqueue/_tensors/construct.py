"""What a get hands out, made the short way: nested tensors, stacks of values, TensorDicts.

The public constructors check and normalize at every call (100-200 µs per jagged tensor, 2-10 µs per value of a stack).
The short ways set the same attributes directly. They depend on torch's and tensordict's internals, so each one is
compared with its public twin once per process; where that fails, or with ``TRANSFERQUEUE_TORCH_INTERNALS=0``, the
public call is used for good.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict

__all__ = ["Layout", "internals", "jagged", "stack_of", "tensordict", "use_internals"]

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
    """

    __slots__ = ("_strides", "offsets", "ragged_size", "rows")

    def __init__(self, offsets: torch.Tensor) -> None:
        self.offsets = offsets
        self.rows = offsets.shape[0] - 1
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


# --- jagged tensors -------------------------------------------------------------------------------------------------


def _jagged_public(values: torch.Tensor, layout: Layout, ragged: int = 0) -> torch.Tensor:
    made: torch.Tensor = torch.nested.nested_tensor_from_jagged(values, layout.offsets, jagged_dim=ragged + 1)
    return made


def _jagged_internal(values: torch.Tensor, layout: Layout, ragged: int = 0) -> torch.Tensor:
    from torch.nested._internal.nested_tensor import NestedTensor

    shape, strides = values.shape, values.stride()
    batch_stride = layout.stride(strides[ragged])
    size = (layout.rows, *shape[:ragged], layout.ragged_size, *shape[ragged + 1 :])
    tensor: Any = torch.Tensor._make_wrapper_subclass(
        NestedTensor,
        size,
        (batch_stride, *strides),
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
        _jagged_keys(),
        storage_size=values.untyped_storage().size(),
    )
    tensor._ragged_idx = ragged + 1
    tensor._size = size
    tensor._strides = (batch_stride, *strides)
    tensor._values = values
    tensor._offsets = layout.offsets
    tensor._lengths = None
    tensor._metadata_cache = {}
    tensor._dynamo_propagated_dynamic_indices = {ragged + 1}
    values._dynamo_propagated_dynamic_indices = {ragged}  # type: ignore[attr-defined]
    return tensor  # type: ignore[no-any-return]


_keys: Any = None


def _jagged_keys() -> Any:
    global _keys
    if _keys is None:
        from torch._C import DispatchKey, DispatchKeySet

        _keys = DispatchKeySet(DispatchKey.NestedTensor).add(DispatchKey.AutogradNestedTensor)
    return _keys


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
        members = _members(stack._values_on_demand())
        _set(stack, "tensordicts", members)
        stack.__class__ = NonTensorStack
        return members


class _LazyStack(NonTensorStack):
    """A NonTensorStack that holds its values as a list, or a way to get them, until somebody needs members."""

    tensordicts = _MembersOnDemand()

    def _values_on_demand(self) -> list[Any]:
        values = self._source
        if callable(values):
            values = values()
            _set(self, "_source", values)
        return values  # type: ignore[no-any-return]

    def tolist(self, **options: Any) -> list[Any]:
        if options.get("as_linked_list"):
            return super().tolist(**options)
        return list(self._values_on_demand())

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.tensordicts  # noqa: B018 (becomes an ordinary stack)
        return self.__reduce_ex__(protocol)


# What a TensorDict prints for the field.
_LazyStack.__name__ = _LazyStack.__qualname__ = NonTensorStack.__name__


def _stack_public(values: Sequence[Any] | Callable[[], list[Any]], rows: int) -> Any:  # noqa: ARG001
    rows_of_stack = values() if callable(values) else values
    return NonTensorStack(*[NonTensorData(data=value) for value in rows_of_stack])


def _stack_internal(values: Sequence[Any] | Callable[[], list[Any]], rows: int) -> Any:
    stack = _new(_LazyStack)
    _set(stack, "_is_locked", None)
    _set(stack, "stack_dim", 0)
    _set(stack, "_batch_size", torch.Size([rows]))
    _set(stack, "_source", values)
    _set(stack, "_hook_out", None)
    _set(stack, "_hook_in", None)
    return stack


# --- TensorDicts ----------------------------------------------------------------------------------------------------


def _tensordict_public(columns: dict[str, Any], rows: int) -> TensorDict:
    return TensorDict(columns, batch_size=[rows])


def _tensordict_internal(columns: dict[str, Any], rows: int) -> TensorDict:
    return TensorDict._new_unsafe(
        columns,  # type: ignore[arg-type]
        batch_size=torch.Size([rows]),
        nested=False,
    )


# --- which way ------------------------------------------------------------------------------------------------------

jagged: Callable[..., torch.Tensor] = _jagged_public
stack_of: Callable[..., Any] = _stack_public
tensordict: Callable[..., TensorDict] = _tensordict_public


def internals() -> dict[str, bool]:
    """Which of the short ways are in use."""
    return {
        "jagged": jagged is _jagged_internal,
        "stack_of": stack_of is _stack_internal,
        "tensordict": tensordict is _tensordict_internal,
    }


def use_internals(on: bool) -> None:
    """Take the short ways that pass their check, or the public calls only."""
    global jagged, stack_of, tensordict
    jagged = _jagged_internal if on and _passes(_same_jagged) else _jagged_public
    stack_of = _stack_internal if on and _passes(_same_stack) else _stack_public
    tensordict = _tensordict_internal if on and _passes(_same_tensordict) else _tensordict_public


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:  # whatever the internals have become: the public call is right
        return False


def _same_jagged() -> bool:
    for values, ragged in ((torch.arange(12.0).reshape(6, 2), 0), (torch.arange(12.0).reshape(6, 2).t(), 1)):
        layout = Layout(torch.tensor([0, 1, 6]))
        short: Any = _jagged_internal(values, layout, ragged)
        public: Any = _jagged_public(values, layout, ragged)
        if (
            set(vars(public)) - set(vars(short))
            or type(short) is not type(public)
            or str(short.shape) != str(public.shape)
        ):
            return False
        if not (torch.equal(short[1], public[1]) and torch.equal((short + short).values(), (public + public).values())):
            return False
        if not torch.equal(short.values(), values) or short.offsets() is not layout.offsets:
            return False
    return True


def _same_stack() -> bool:
    values = ["a", {"b": [1]}, None]
    public = _stack_public(values, 3)
    short = _stack_internal(values, 3)
    if short.tolist() != values or short.batch_size != public.batch_size:
        return False
    same = [
        vars(ours).keys() == vars(theirs).keys()
        for ours, theirs in zip(short.tensordicts, public.tensordicts, strict=True)
    ]
    missing = vars(public).keys() - vars(short).keys()
    return all(same) and not missing and type(short) is NonTensorStack and short[1:].tolist() == values[1:]


def _same_tensordict() -> bool:
    columns = {"x": torch.zeros(2)}
    short, public = _tensordict_internal(columns, 2), _tensordict_public(columns, 2)
    return (
        vars(short).keys() == vars(public).keys()
        and short.batch_size == public.batch_size
        and list(short.keys()) == ["x"]
    )


use_internals(os.environ.get("TRANSFERQUEUE_TORCH_INTERNALS", "1") != "0")
