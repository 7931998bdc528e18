"""What else users import from the peer's ``utils``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from transferqueue._handles import get_placement_group

_TRUE = frozenset({"1", "true", "yes", "y", "on", "t"})


def get_env_bool(env_key: str, default: bool = False) -> bool:
    """Tell whether an environment variable says yes; `default` where it is not set."""
    text = os.environ.get(env_key)
    return default if text is None else text.strip().lower() in _TRUE


@contextlib.contextmanager
def limit_pytorch_auto_parallel_threads(target_num_threads: int | None = None, info: str = "") -> Iterator[None]:  # noqa: ARG001
    """Let torch use at most so many threads inside; afterwards as many as before.

    Parameters
    ----------
    target_num_threads
        At least 1; None leaves the number as it is.
    info
        Not used.
    """
    import torch

    before = torch.get_num_threads()
    if target_num_threads is not None:
        torch.set_num_threads(min(before, target_num_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["get_env_bool", "get_placement_group", "limit_pytorch_auto_parallel_threads"]
