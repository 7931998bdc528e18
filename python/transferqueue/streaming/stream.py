"""`StreamingDataset`: fetches batch after batch, cuts each, and gives them out again on demand."""

from __future__ import annotations

import base64
import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from transferqueue._arguments import require_number
from transferqueue._chosen_sampler import dumps
from transferqueue.client import TransferQueueClient
from transferqueue.errors import InvalidArgumentError, NotReadyError
from transferqueue.meta import BatchMeta
from transferqueue.streaming.microbatches import chunk_batch_fn, default_fetch_batch_fn
from transferqueue.streaming.progress import NO_FRONT, Place, Progress, Snapshot
from transferqueue.streaming.queue_link import QueueLink
from transferqueue.streaming.replay import ReplayBuffer
from transferqueue.streaming.waiting import PARKED_S, Pause, end_with_consumer

logger = logging.getLogger("transferqueue.streaming")

STATE_VERSION = 1
BUFFER_BYTES = 1 << 30
#: Seconds without a batch after which a stream looks what is left in the partition.
_LOOK_AFTER_S = 1.0
_LOOK_AT_LEAST_EVERY_S = 10.0
#: Seconds that the last fetch of a drained partition waits.
_LAST_FETCH_S = 0.05


class Delivery(tuple[Any, Any]):
    """A micro-batch, ``(columns, metadata)``, that knows where it comes from."""

    turn: int
    lane: int
    #: Where its lane is after it.
    place: Place
    batch: int
    #: Metadata of the whole batch, with its first micro-batch.
    batch_meta: Any


class StreamingDataset(IterableDataset[tuple[Any, BatchMeta]]):
    """Micro-batches of a partition, fetched for a task as they become ready.

    Iterating gives ``(TensorDict, BatchMeta)`` of at most `micro_batch_size` rows. It never ends by itself, unless
    `should_check_consumption_status`; a new iteration goes on where the one before was left, and ends that one. Nothing
    is fetched, and the queue is not looked for, before the first iteration. Not safe to use from several threads at
    once.

    Parameters
    ----------
    config
        None, a dict or a DictConfig: how a process that is not attached finds the queue (``transferqueue.address``).
        Default in a process that called `init`, and in a loader's workers: that queue.
    batch_size
        Rows of a fetch, at least 1.
    micro_batch_size
        Rows of what is given out, at least 1; the last micro-batch of a batch has what is left.
    data_fields
        The fields that must be ready and are fetched, at least one.
    partition_id
        The partition; it need not be there yet.
    task_name
        Who consumes.
    dp_rank
        The data-parallel rank, >= 0. With the batch's number it is in the ``sampling_config`` of each fetch, so that
        a sampler that fixes batches gives all processes of a rank the same ones.
    should_check_consumption_status
        End when the task has consumed all rows of the partition; default False.
    fetch_batch_fn
        Instead of `default_fetch_batch_fn`; called with the same keywords. It returns None for the columns where there
        is nothing yet.
    process_batch_fn
        Instead of `chunk_batch_fn`; called as ``process_batch_fn(columns, meta, micro_batch_size=…)``, it gives pairs.
    buffer_bytes
        Bytes of columns kept for `reset`, >= 0; default 1 GiB. Batches beyond that are read from the queue again. A
        loader's workers keep none.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        A number out of range, or no fields; what should be a whole number is none.
    """

    def __init__(
        self,
        config: Any,
        batch_size: int,
        micro_batch_size: int,
        data_fields: Sequence[str],
        partition_id: str,
        task_name: str,
        dp_rank: int,
        should_check_consumption_status: bool = False,
        fetch_batch_fn: Callable[..., Any] | None = None,
        process_batch_fn: Callable[..., Any] | None = None,
        *,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        if isinstance(data_fields, str) or not data_fields:
            raise InvalidArgumentError(f"data_fields: {data_fields!r} given; give a list of at least one name")
        self.config = config
        self.batch_size = require_number("batch_size", batch_size, 1)
        self.micro_batch_size = require_number("micro_batch_size", micro_batch_size, 1)
        self.data_fields = list(data_fields)
        self.task_name = task_name
        self.dp_rank = require_number("dp_rank", dp_rank, 0)
        self.should_check_consumption_status = should_check_consumption_status
        self.fetch_batch_fn = fetch_batch_fn or default_fetch_batch_fn
        self.process_batch_fn = process_batch_fn or chunk_batch_fn
        self._link = QueueLink.read(config)
        self._progress = Progress(partition_id)
        self._replay = ReplayBuffer(require_number("buffer_bytes", buffer_bytes, 0))
        #: Its workers belong to a StreamingDataLoader, which takes whole batches.
        self._is_shared = False
        #: The partition, by its turn, whose batches these are.
        self._replay_of = self._progress.snapshot(0).partition_turn

    # --- where it is ---

    @property
    def partition_id(self) -> str:
        """The partition; setting it is `step`."""
        return self._progress.partition_id

    @partition_id.setter
    def partition_id(self, partition_id: str) -> None:
        self.step(partition_id)

    @property
    def batch_index(self) -> int:
        """Number of the next batch, from 0; of a loader's workers, of the one that is least far."""
        return min(place.batch + (place.micro > 0) for place in self._progress.places)

    @property
    def buffer(self) -> list[tuple[Any, BatchMeta]]:
        """The batches whose columns are held in this process, oldest first."""
        return self._replay.held()

    def reset(self) -> None:
        """Begin again with the first batch of the partition: the same batches come once more, then new ones."""
        self._progress.seek()

    def step(self, partition_id: str) -> None:
        """Go to another partition and forget the batches of this one."""
        self._progress.move(partition_id)
        self._replay.clear()

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, in plain values; `load_state_dict` goes on there."""
        begun = {}
        for place in self._progress.places:
            kept = self._replay.find(place.batch)
            if place.micro and kept is not None and isinstance(kept.meta, BatchMeta):
                begun[str(place.batch)] = base64.b64encode(kept.meta._packed).decode("ascii")
        return {
            "version": STATE_VERSION,
            "partition_id": self.partition_id,
            "task_name": self.task_name,
            "dp_rank": self.dp_rank,
            "places": [list(place) for place in self._progress.places],
            "begun": begun,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go where `state_dict` was taken, in this process or another one, of the same queue.

        Raises
        ------
        InvalidArgumentError
            It is no such state, or of another task, rank or number of workers. Nothing is changed.
        """
        places, begun = self._read_state(state_dict)
        progress = Progress(state_dict["partition_id"], len(places))
        progress.seek(places)
        if self._progress.lanes > 1 or len(places) == 1:
            progress = progress.divided(self._progress.lanes)
        # Another object: an iteration that goes by the old one is over, and a loader starts its workers anew.
        self._progress = progress
        self._replay.clear()
        for number, meta in begun.items():
            self._replay.keep(number, None, meta)

    def _read_state(self, state: Mapping[str, Any]) -> tuple[list[Place], dict[int, BatchMeta]]:
        try:
            if state["version"] != STATE_VERSION:
                raise InvalidArgumentError(f"state_dict: version {state['version']} given; {STATE_VERSION} can be read")
            for name in ("task_name", "dp_rank"):
                if state[name] != getattr(self, name):
                    raise InvalidArgumentError(
                        f"state_dict: {name} {state[name]!r} given; this dataset has {getattr(self, name)!r}"
                    )
            places = [Place(int(batch), int(micro)) for batch, micro in state["places"]]
            if not places or min(min(place) for place in places) < 0 or not isinstance(state["partition_id"], str):
                raise ValueError("no places")
            begun = {int(n): BatchMeta._from_packed(base64.b64decode(meta)) for n, meta in state["begun"].items()}
            _ = [meta.size for meta in begun.values()]
        except InvalidArgumentError:
            raise
        except Exception as error:
            raise InvalidArgumentError(f"state_dict: it is none of a StreamingDataset: {error!r}") from error
        return places, begun

    # --- other processes ---

    def __getstate__(self) -> dict[str, Any]:
        # Functions go by value where they must (lambdas, notebooks); the columns and the configuration stay here.
        state = dict(self.__dict__)
        state["config"] = None
        state["fetch_batch_fn"] = dumps(self.fetch_batch_fn)
        state["process_batch_fn"] = dumps(self.process_batch_fn)
        state["_link"] = self._link.with_address()
        state["_replay"] = self._replay.without_columns()
        state["_replay_of"] = self._progress.snapshot(0).partition_turn
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.fetch_batch_fn = pickle.loads(state["fetch_batch_fn"])  # noqa: S301 - what was pickled with it
        self.process_batch_fn = pickle.loads(state["process_batch_fn"])  # noqa: S301

    def _share(self, lanes: int) -> None:
        """Make the progress one that workers see."""
        self._progress = self._progress.divided(lanes)
        self._progress.share()
        self._is_shared = True

    # --- iterating ---

    def __iter__(self) -> Iterator[tuple[Any, BatchMeta]]:
        worker = get_worker_info()
        if worker is None:
            if self._progress.lanes > 1:
                raise InvalidArgumentError(
                    f"this dataset is divided among the {self._progress.lanes} workers of its StreamingDataLoader; iterate over that"
                )
            return self._lane(0, self._progress.begin_round(), notes=True)
        end_with_consumer()
        if worker.num_workers != self._progress.lanes:  # a plain DataLoader, which shares nothing
            self._progress = self._progress.divided(worker.num_workers)
        lane = self._lane(worker.id, self._progress.round, notes=False)
        return whole_batches(lane) if self._is_shared else lane

    def _lane(self, lane: int, number: int, *, notes: bool) -> Iterator[Delivery]:
        try:
            yield from self._stream(lane, number, notes=notes)
        finally:
            if number == self._progress.round:
                self._progress.advance(lane, NO_FRONT)  # nobody need wait for its batches

    def _stream(self, lane: int, number: int, *, notes: bool) -> Iterator[Delivery]:
        """The deliveries of one lane in one iteration; `notes`: this process consumes them, so their place is noted."""
        client = self._link.client()
        pause = Pause()
        end = _End(self, client)
        at = self._progress.snapshot(lane)
        place = at.place
        while not self._progress.is_over(number):
            if at.turn != self._progress.turn:
                at = self._progress.snapshot(lane)
                place = at.place
                self._progress.advance(lane, place.batch)
                end = _End(self, client)
            if at.partition_turn != self._replay_of:
                self._replay_of = at.partition_turn
                if not notes:  # else `step` has done it
                    self._replay.clear()
            advance = partial(self._progress.advance, lane, place.batch + self._progress.lanes)
            batch = self._take(client, at.partition_id, place.batch, pause, end, advance)
            if batch is None:
                if self._progress.may_fetch(place.batch) and end.has_come(at.partition_id, pause.waited_s):
                    return
                continue
            for delivery in self._deliveries(batch, at, place, lane):
                place = delivery.place
                if notes:
                    self._progress.deliver(lane, place)
                yield delivery
                if at.turn != self._progress.turn or self._progress.is_over(number):
                    break
            else:
                place = Place(batch[0] + self._progress.lanes, 0)
                if notes and at.turn == self._progress.turn:
                    self._progress.deliver(lane, place)

    def _take(
        self,
        client: TransferQueueClient,
        partition_id: str,
        number: int,
        pause: Pause,
        end: _End,
        advance: Callable[[], None],
    ) -> tuple[int, Any, Any] | None:
        """A batch: from the buffer, by its metadata, or newly fetched; None after a pause if there is nothing yet."""
        kept = self._replay.find(number)
        if kept is not None and kept.data is not None:
            return number, kept.data, kept.meta
        data, meta = None, None
        if kept is not None and self.fetch_batch_fn is default_fetch_batch_fn:
            advance()
            data, meta = client.get_data(kept.meta), kept.meta
        else:
            asked_s = pause.waited_s
            if self._progress.may_fetch(number):
                data, meta = self._fetch(
                    client, partition_id, number, _LAST_FETCH_S if end.is_near else PARKED_S, advance
                )
            if data is None:
                pause.take(pause.waited_s - asked_s)
                return None
            advance()
        self._replay.keep(number, data if get_worker_info() is None else None, meta)
        pause.start_again()
        end.put_off()
        return number, data, meta

    def _fetch(
        self, client: TransferQueueClient, partition_id: str, number: int, parked_s: float, advance: Callable[[], None]
    ) -> tuple[Any, Any]:
        sampling = {
            "dp_rank": self.dp_rank,
            "task_name": self.task_name,
            "batch_index": number,
            "partition_id": partition_id,
        }
        own: dict[str, Any] = (
            {} if self.fetch_batch_fn is not default_fetch_batch_fn else {"wait_s": parked_s, "on_meta": advance}
        )
        try:
            fetched: tuple[Any, Any] = self.fetch_batch_fn(
                tq_client=client,
                data_fields=self.data_fields,
                batch_size=self.batch_size,
                partition_id=partition_id,
                task_name=self.task_name,
                sampling_config=sampling,
                batch_index=number,
                **own,
            )
        except NotReadyError:
            return None, None
        return fetched

    def _deliveries(self, batch: tuple[int, Any, Any], at: Snapshot, place: Place, lane: int) -> Iterator[Delivery]:
        number, data, meta = batch
        chunks = iter(self.process_batch_fn(data, meta, micro_batch_size=self.micro_batch_size))
        chunk = next(chunks, None)
        micro = 0
        while chunk is not None:
            following = next(chunks, None)
            micro += 1
            if micro > place.micro:
                delivery = Delivery(chunk)
                delivery.turn, delivery.lane, delivery.batch = at.turn, lane, number
                # After the last one the next batch is due, so that this one need not be read again to find its end.
                delivery.place = Place(number, micro) if following else Place(number + self._progress.lanes, 0)
                delivery.batch_meta = meta if micro == 1 else None
                yield delivery
            chunk = following


class _End:
    """Finds out whether all rows of a partition are consumed, and that no batch is left for this stream.

    A batch that another process of the rank has fetched is consumed, but must come here, too: so one more fetch is made
    after the partition was seen consumed.
    """

    def __init__(self, dataset: StreamingDataset, client: TransferQueueClient) -> None:
        self._dataset = dataset
        self._client = client
        self._has_seen_rows = False
        self._has_warned = False
        self._next_look_s = 0.0 if dataset.should_check_consumption_status else _LOOK_AFTER_S
        #: The next fetch is the last one, if it brings nothing.
        self.is_near = False

    def put_off(self) -> None:
        """A batch came."""
        self._has_seen_rows = True
        self._next_look_s = _LOOK_AFTER_S
        self.is_near = False

    def has_come(self, partition_id: str, waited_s: float) -> bool:
        """Whether it is the end, asked after a fetch that brought nothing."""
        was_near, self.is_near = self.is_near, False
        if self._dataset.should_check_consumption_status:
            self.is_near = self._client.check_consumption_status(self._dataset.task_name, partition_id)
            if was_near and self.is_near:
                return True
        if waited_s < self._next_look_s:
            return False
        self._next_look_s = waited_s + min(max(_LOOK_AFTER_S, waited_s), _LOOK_AT_LEAST_EVERY_S)
        return self._look(partition_id, waited_s)

    def _look(self, partition_id: str, waited_s: float) -> bool:
        """Whether the rows that were there are gone; else say once what is left, if nothing came for a while."""
        ends = self._dataset.should_check_consumption_status
        indexes, status = self._client.get_consumption_status(self._dataset.task_name, partition_id)
        if indexes is None or status is None or not len(indexes):
            return ends and (self._has_seen_rows or self._dataset._progress.has_begun)
        self._has_seen_rows = True
        left = len(indexes) - int(status.sum())
        if ends and 0 < left < self._dataset.batch_size and waited_s >= _LOOK_AFTER_S and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "task %r, rank %d: %d of the %d rows in partition %r are not consumed, fewer than a batch (%d); the "
                "stream waits for more; choose a batch size that divides the rows, or leave the iteration",
                self._dataset.task_name,
                self._dataset.dp_rank,
                left,
                len(indexes),
                partition_id,
                self._dataset.batch_size,
            )
        return False


def whole_batches(deliveries: Iterator[Any]) -> Iterator[Any]:
    """The deliveries of each batch as a list; what was left in the middle, since the consumer went elsewhere, is dropped.

    torch takes from the workers in turn. If it took micro-batches, the second one of batch 7 would wait for batch 8.
    """
    batch: list[Delivery] = []
    for delivery in deliveries:
        if batch and (batch[0].batch, batch[0].turn) != (delivery.batch, delivery.turn):
            batch = []
        batch.append(delivery)
        if delivery.place.batch != delivery.batch:
            yield batch
            batch = []
