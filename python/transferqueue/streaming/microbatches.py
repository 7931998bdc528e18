"""How a batch is fetched, and how it is cut: what a dataset does where its user gives no functions for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict, TensorDictBase

from transferqueue._arguments import require_number
from transferqueue._tensors import construct
from transferqueue._tensors.shortcuts import Layout
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, NotReadyError
from transferqueue.meta import BatchMeta

if TYPE_CHECKING:
    from transferqueue.client import TransferQueueClient

#: Cuts rows [start, stop) out of one column.
Cut = Callable[[int, int, dict[int, Layout]], Any]


def default_fetch_batch_fn(
    tq_client: TransferQueueClient,
    data_fields: Sequence[str],
    batch_size: int,
    partition_id: str,
    task_name: str,
    sampling_config: Mapping[str, Any],
    batch_index: int,  # noqa: ARG001 (the signature is the peer's)
    *,
    wait_s: float | None = None,
    on_meta: Callable[[], None] | None = None,
) -> tuple[TensorDict | None, BatchMeta]:
    """Fetch one batch.

    Parameters
    ----------
    tq_client
        The client to fetch with.
    data_fields, batch_size, partition_id, task_name, sampling_config
        As for `TransferQueueClient.get_meta`.
    batch_index
        Number of the batch; also in `sampling_config`, where the sampler finds it.
    wait_s
        Seconds that the fetch waits for rows. Default: none with ``polling_mode``, else 30.
    on_meta
        Called when the rows are known, before their columns are read.

    Returns
    -------
    tuple of TensorDict and BatchMeta
        The columns and who the rows are; (None, empty BatchMeta) if too few rows are ready.
    """
    try:
        meta = tq_client.get_meta(
            list(data_fields),
            batch_size,
            partition_id,
            task_name=task_name,
            sampling_config=sampling_config,
            wait_s=wait_s,
        )
    except NotReadyError:
        return None, BatchMeta.empty()
    if not meta.size:
        return None, meta
    if on_meta is not None:
        on_meta()
    return tq_client.get_data(meta), meta


def chunk_batch_fn(
    td: TensorDictBase, batch_meta: BatchMeta, micro_batch_size: int = 1
) -> list[tuple[TensorDict, BatchMeta]]:
    """Cut a batch into micro-batches, columns and metadata alike.

    Parameters
    ----------
    td
        B rows. Dense and jagged columns are cut without a copy, and stay jagged.
    batch_meta
        The same B rows.
    micro_batch_size
        Rows of a micro-batch, at least 1; the last one has what is left.

    Raises
    ------
    InvalidTypeError
        `td` is no TensorDict, or `micro_batch_size` no whole number.
    InvalidArgumentError
        The numbers of rows differ, or `micro_batch_size` is less than 1.
    """
    if not isinstance(td, TensorDictBase):
        raise InvalidTypeError(f"chunk_batch_fn: td is a {type(td).__name__}; give a TensorDict")
    micro_batch_size = require_number("micro_batch_size", micro_batch_size, 1)
    rows = td.batch_size[0] if td.batch_size else 0
    if rows != batch_meta.size:
        raise InvalidArgumentError(f"chunk_batch_fn: {rows} rows of columns and {batch_meta.size} of metadata")
    cuts = {name: _cut_of(td.get(name)) for name in td.keys()}  # noqa: SIM118 (a TensorDict iterates over its rows)
    chunks = []
    for start in range(0, rows, micro_batch_size):
        stop = min(start + micro_batch_size, rows)
        layouts: dict[int, Layout] = {}
        columns = {name: cut(start, stop, layouts) for name, cut in cuts.items()}
        chunks.append((construct.tensordict(columns, stop - start), batch_meta.select_samples(range(start, stop))))
    return chunks


def _cut_of(column: Any) -> Cut:
    if not isinstance(column, torch.Tensor) or not column.is_nested:
        return lambda start, stop, _: column[start:stop]
    if column.layout is torch.jagged and column.lengths() is None:  # type: ignore[attr-defined]
        return _cut_of_jagged(column)
    rows = column.unbind()
    return lambda start, stop, _: torch.nested.as_nested_tensor(list(rows[start:stop]), layout=column.layout)


def _cut_of_jagged(column: Any) -> Cut:
    values, offsets, ragged = column.values(), column.offsets(), column._ragged_idx - 1
    bounds = offsets.tolist()

    def cut(start: int, stop: int, layouts: dict[int, Layout]) -> Any:
        # Columns that share their offsets go on sharing them: else torch would not compute across them.
        layout = layouts.get(id(offsets))
        if layout is None:
            layout = layouts[id(offsets)] = Layout(offsets[start : stop + 1] - bounds[start])
        return construct.jagged(values.narrow(ragged, bounds[start], bounds[stop] - bounds[start]), layout, ragged)

    return cut
