"""What a get hands out, and a put takes apart: jagged tensors, stacks of values, TensorDicts; by the shortest way.

The public calls check and normalize each time (100-200 µs per jagged tensor, 2-10 µs per value of a stack). The short
ways (`shortcuts`) set the same attributes directly. They depend on torch's and tensordict's internals, so each one is
compared with its public twin once per process; where that fails, or with ``TRANSFERQUEUE_TORCH_INTERNALS=0``, the
public call is used for good.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict

from transferqueue._tensors import shortcuts
from transferqueue._tensors.shortcuts import Layout

__all__ = ["inner_tensors", "internals", "jagged", "stack_of", "stacked_values", "tensordict", "use_internals"]


def _jagged(values: torch.Tensor, layout: Layout, ragged: int = 0) -> torch.Tensor:
    made: torch.Tensor = torch.nested.nested_tensor_from_jagged(
        values, layout.offsets, None, ragged + 1, layout.shortest, layout.longest
    )
    return made


def _inner_tensors(tensor: Any) -> tuple[Any, ...] | None:  # noqa: ARG001
    return None


def _stack_of(values: Sequence[Any] | Callable[[], list[Any]], rows: int) -> Any:  # noqa: ARG001
    return NonTensorStack(*[NonTensorData(data=value) for value in (values() if callable(values) else values)])


def _stacked_values(stack: Any) -> list[Any]:
    return stack.tolist()  # type: ignore[no-any-return]


def _tensordict(columns: dict[str, Any], rows: int) -> TensorDict:
    return TensorDict(columns, batch_size=[rows])


#: A jagged tensor over ``(values, layout, ragged=0)``: the layout cuts the values' dimension ``ragged``.
jagged: Callable[..., torch.Tensor] = _jagged
#: Values, offsets, lengths and ragged index of a jagged tensor; None: not one, or take the public way.
inner_tensors: Callable[[Any], tuple[Any, ...] | None] = _inner_tensors
#: A stack of the values in a list, or of those that a function will give when they are read; and their number.
stack_of: Callable[..., Any] = _stack_of
#: The values of a NonTensorStack, one per row; not to be changed.
stacked_values: Callable[[Any], list[Any]] = _stacked_values
#: A TensorDict of ``(columns, rows)``.
tensordict: Callable[[dict[str, Any], int], TensorDict] = _tensordict


def internals() -> dict[str, bool]:
    """Which of the short ways are in use."""
    return {
        "jagged": jagged is shortcuts.jagged,
        "stack_of": stack_of is shortcuts.stack_of,
        "tensordict": tensordict is shortcuts.tensordict,
    }


def use_internals(on: bool) -> None:
    """Take the short ways that pass their check, or the public calls only."""
    global jagged, inner_tensors, stack_of, stacked_values, tensordict
    short = on and _passes(_same_jagged)
    jagged = shortcuts.jagged if short else _jagged
    inner_tensors = shortcuts.inner_tensors if short else _inner_tensors
    short = on and _passes(_same_stack)
    stack_of = shortcuts.stack_of if short else _stack_of
    stacked_values = shortcuts.stacked_values if short else _stacked_values
    tensordict = shortcuts.tensordict if on and _passes(_same_tensordict) else _tensordict


def _passes(check: Callable[[], bool]) -> bool:
    # torch 2.13 logs a warning about itself at the first nested_tensor_from_jagged; it would appear at every first put.
    fx = logging.getLogger("torch.fx._symbolic_trace")
    was_disabled, fx.disabled = fx.disabled, True
    try:
        return check()
    except Exception:  # whatever the internals have become: the public call is right
        return False
    finally:
        fx.disabled = was_disabled


def _same_jagged() -> bool:
    return all(
        _same_jagged_over(values, ragged)
        for values, ragged in ((torch.arange(12.0).reshape(6, 2), 0), (torch.arange(12.0).reshape(6, 2).t(), 1))
    )


def _same_jagged_over(values: torch.Tensor, ragged: int) -> bool:
    layout = Layout(torch.tensor([0, 1, 6]))
    short: Any = shortcuts.jagged(values, layout, ragged)
    public: Any = _jagged(values, layout, ragged)
    inner = shortcuts.inner_tensors(public)
    return (
        type(short) is type(public)
        and not set(vars(public)) - set(vars(short))
        and str(short.shape) == str(public.shape)
        and torch.equal(short[1], public[1])
        and torch.equal((short + short).values(), (public + public).values())
        and torch.equal(short.values(), values)
        and short.offsets() is layout.offsets
        and short._get_max_seqlen() == public._get_max_seqlen() == 5
        and short._metadata_cache.keys() == public._metadata_cache.keys()
        and inner is not None
        and torch.equal(inner[0], values)
        and inner[1] is public.offsets()
        and inner[2:] == (None, ragged + 1)
    )


def _same_stack() -> bool:
    values = ["a", {"b": [1]}, None]
    public = _stack_of(values, 3)
    short = shortcuts.stack_of(values, 3)
    if short.tolist() != values or short.batch_size != public.batch_size:
        return False
    pairs = zip(short.tensordicts, public.tensordicts, strict=True)
    return (
        all(vars(ours).keys() == vars(theirs).keys() for ours, theirs in pairs)
        and not vars(public).keys() - vars(short).keys()
        and type(short) is NonTensorStack
        and short[1:].tolist() == values[1:]
        and shortcuts.stacked_values(public) == values
    )


def _same_tensordict() -> bool:
    columns = {"x": torch.zeros(2)}
    short, public = shortcuts.tensordict(columns, 2), _tensordict(columns, 2)
    return (
        vars(short).keys() == vars(public).keys()
        and short.batch_size == public.batch_size
        and list(short.keys()) == ["x"]
    )


use_internals(os.environ.get("TRANSFERQUEUE_TORCH_INTERNALS", "1") != "0")
