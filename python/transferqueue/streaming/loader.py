"""`StreamingDataLoader`: torch's DataLoader over a `StreamingDataset`, with workers that the queue survives."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import pickle
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader

from transferqueue._chosen_sampler import dumps
from transferqueue.errors import InvalidArgumentError, InvalidTypeError, TransferQueueError
from transferqueue.meta import BatchMeta
from transferqueue.streaming.stream import Delivery, StreamingDataset

#: Seconds within which the end of a worker is known after a connection to it broke.
_END_SEEN_S = 2.0
#: What a fork server imports before it forks workers: torch alone takes a worker seconds else.
_PRELOADED = ["__main__", "torch", "tensordict", "transferqueue.streaming"]


class LoaderWorkerError(TransferQueueError, RuntimeError):
    """A worker process of a loader ended."""


class StreamingDataLoader(DataLoader[Any]):
    """Iterate over a `StreamingDataset`, in this process or by workers.

    Gives ``(TensorDict, BatchMeta)``, as the dataset does. With W workers, worker w fetches the batches w, w + W, … , and
    the batches are given in order, as without workers. Workers are made by a fork server, because .NET does not survive a
    fork: a script needs its ``if __name__ == "__main__":``. A new iteration ends the one before and goes on after what
    that one has delivered. Not safe to use from several threads at once.

    Parameters
    ----------
    dataset
        The dataset; not to be iterated in another way meanwhile.
    num_workers
        Worker processes, >= 0; 0, the default: fetch in this process, when a micro-batch is asked for.
    collate_fn
        Called with each pair, in the worker; what it returns is given instead. Default: the pair itself.
    pin_memory, prefetch_factor, persistent_workers, pin_memory_device
        As for torch's DataLoader. A worker prepares `prefetch_factor` (default 2) batches ahead.
    worker_init_fn
        Called in each worker with its number.
    multiprocessing_context
        None, "forkserver" or "spawn", or such a context; default "forkserver".

    Raises
    ------
    InvalidTypeError
        `dataset` is no StreamingDataset.
    InvalidArgumentError
        A context that forks; and what torch refuses is ValueError.
    LoaderWorkerError
        From iterating: a worker ended.
    """

    def __init__(
        self,
        dataset: StreamingDataset,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
    ) -> None:
        if not isinstance(dataset, StreamingDataset):
            raise InvalidTypeError(f"dataset: {type(dataset).__name__} given; give a StreamingDataset")
        # torch warns of the argument where it is given at all.
        pinned: dict[str, Any] = {"pin_memory_device": pin_memory_device} if pin_memory_device else {}
        super().__init__(
            dataset,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_Parcelling(collate_fn),
            pin_memory=pin_memory,
            worker_init_fn=None if worker_init_fn is None else _Carried(worker_init_fn),
            multiprocessing_context=choose_context(multiprocessing_context) if num_workers else None,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
            **pinned,
        )
        self._stream: StreamingDataset = dataset
        self._progress: Any = None

    def __iter__(self) -> Any:
        if not self.num_workers:
            return _Unparcelled(super().__iter__())
        self._stream._share(self.num_workers)
        if self._progress is not self._stream._progress:
            self._drop_workers()
        self._progress = self._stream._progress
        number = self._progress.begin_round()
        preload_forkserver()
        try:
            return LoaderIterator(self, super().__iter__(), number)
        except (RuntimeError, OSError, EOFError) as error:
            raise self._explained(error, self._iterator) from error

    def reset(self) -> None:
        """Begin again with the first batch of the partition; workers, too."""
        self._stream.reset()

    def step(self, partition_id: str) -> None:
        """Go to another partition and forget the batches of this one; workers, too."""
        self._stream.step(partition_id)

    def get_buffer(self) -> list[tuple[Any, BatchMeta]]:
        """The batches whose columns this process holds for `reset`; with workers there are none."""
        return self._stream.buffer

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, in plain values: after what it has delivered."""
        return self._stream.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go where `state_dict` was taken; see `StreamingDataset.load_state_dict`."""
        self._stream.load_state_dict(state_dict)

    def close(self) -> None:
        """End persistent workers; the next iteration starts new ones."""
        self._drop_workers()

    def _drop_workers(self) -> None:
        inner, self._iterator = self._iterator, None
        if self._progress is not None:
            self._progress.end_round(self._progress.round)
        shut_down(inner)

    def _explained(self, error: Exception, inner: Any) -> Exception:
        """The error to raise for one that torch raised: itself, unless a worker has ended."""
        if isinstance(error, TransferQueueError):
            return error
        workers = list(getattr(inner, "_workers", ()))
        if isinstance(error, OSError | EOFError):  # a tensor was to be taken from a worker; its end may not be seen yet
            multiprocessing.connection.wait([worker.sentinel for worker in workers], timeout=_END_SEEN_S)
        ended = [worker for worker in workers if not worker.is_alive() and worker.exitcode]
        if not ended and not re.match(r"DataLoader worker \(pid", str(error)):
            return error
        how = ", ".join(f"process {worker.pid} {describe_exit(worker.exitcode)}" for worker in ended)
        self._drop_workers()
        shut_down(inner)
        return LoaderWorkerError(
            f"streaming loader of task {self._stream.task_name!r}, partition {self._stream.partition_id!r}: "
            f"{how or str(error)}, and with it what it had fetched and not delivered; the other workers are ended. Iterate "
            "again to go on with new workers: a sampler that fixes batches gives the same rows again, else those are lost"
        )


class LoaderIterator(Iterator[Any]):
    """One iteration with workers; made by the loader. It ends when it is closed or dropped, or another one begins."""

    def __init__(self, loader: StreamingDataLoader, inner: Any, number: int) -> None:
        self._loader = loader
        self._stream = loader._stream
        self._progress = loader._progress
        self._inner = inner
        self._number = number
        self._ready: deque[_Parcel] = deque()

    def __next__(self) -> Any:
        while self._inner is not None or self._ready:
            if self._stream._progress is not self._progress or self._progress.is_over(self._number):
                self.close()
                break
            if not self._ready:
                self._receive()
                continue
            parcel = self._ready.popleft()
            if parcel.turn == self._progress.turn:
                if parcel.batch_meta is not None:
                    self._stream._replay.keep(parcel.batch, None, parcel.batch_meta)
                self._progress.deliver(parcel.lane, parcel.place)
                return parcel.item
        raise StopIteration

    def _receive(self) -> None:
        """Wait for the next batch."""
        try:
            self._ready.extend(next(self._inner))
        except StopIteration:
            self.close()
        except Exception as error:
            self._raise_explained(error)
            # Torch's frames hold the error, and the error them and this iteration: it would be collected some time, its
            # pipes first, and its workers would hear of their end when they are killed. What failed is in the text.
            error.__traceback__ = None
            raise

    def _raise_explained(self, error: Exception) -> None:
        """Raise what `error` means, if it means the end of a worker."""
        if not isinstance(error, RuntimeError | OSError | EOFError):
            return
        explained = self._loader._explained(error, self._inner)
        if explained is not error:
            self._inner = None
            raise explained from error

    def close(self) -> None:
        """End the iteration; workers that don't persist end, too."""
        inner, self._inner = self._inner, None
        self._ready.clear()
        if inner is None:
            return
        # First, so that a worker that waits for rows comes back to hear of its end.
        self._progress.end_round(self._number)
        if inner is not self._loader._iterator:
            shut_down(inner)

    def __del__(self) -> None:
        self.close()


class _Parcel:
    """What a worker sends: what its collate_fn made, and where that comes from."""

    def __init__(self, item: Any, delivery: Delivery) -> None:
        self.item = item
        self.turn, self.lane, self.place = delivery.turn, delivery.lane, delivery.place
        self.batch, self.batch_meta = delivery.batch, delivery.batch_meta

    def pin_memory(self, device: str | None = None) -> _Parcel:
        """Called by torch where memory is to be pinned."""
        from torch.utils.data._utils.pin_memory import pin_memory

        kind = type(self.item)
        pinned = pin_memory(self.item, device)  # type: ignore[no-untyped-call]
        self.item = tuple(pinned) if kind is tuple else pinned
        return self


class _Carried:
    """A function that goes to workers by value where it can't go by name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __reduce__(self) -> Any:
        return _carry, (type(self), dumps(self._function))


def _carry(kind: type[_Carried], function: bytes) -> Any:
    return kind(pickle.loads(function))  # noqa: S301 - what was pickled with it


class _Parcelling(_Carried):
    """The collate_fn of the user, and what the loader must know besides."""

    def __init__(self, collate_fn: Callable[[Any], Any] | None) -> None:
        super().__init__(collate_fn or _as_it_is)

    def __call__(self, *arguments: Any) -> Any:
        [made] = arguments
        if isinstance(made, list):
            return [self(delivery) for delivery in made]
        return _Parcel(self._function(tuple(made)), made)


def _as_it_is(pair: Any) -> Any:
    return pair


class _Unparcelled(Iterator[Any]):
    """An iteration in this process."""

    def __init__(self, inner: Iterator[_Parcel]) -> None:
        self._inner = inner

    def __next__(self) -> Any:
        return next(self._inner).item


def choose_context(context: Any) -> Any:
    """The context of the workers.

    Raises
    ------
    InvalidArgumentError
        It forks.
    """
    if context is None:
        return multiprocessing.get_context("forkserver")
    method = context if isinstance(context, str) else context.get_start_method()
    if method == "fork":
        raise InvalidArgumentError(
            "multiprocessing_context: 'fork' given, but workers use .NET, which does not survive a fork; give "
            "'forkserver' (the default) or 'spawn'"
        )
    return multiprocessing.get_context(context) if isinstance(context, str) else context


def preload_forkserver() -> None:
    """Let a fork server that is not there yet import torch once for all workers, unless the user has chosen what it does."""
    server = multiprocessing.forkserver._forkserver
    untouched = getattr(server, "_preload_modules", None) == ["__main__"]
    if untouched and getattr(server, "_forkserver_pid", 0) is None:
        multiprocessing.forkserver.set_forkserver_preload(_PRELOADED)


def shut_down(inner: Any) -> None:
    """End the workers of one of torch's iterators now, not when it is collected."""
    end = getattr(inner, "_shutdown_workers", None)
    if end is not None:
        end()


def describe_exit(code: int) -> str:
    """An exit code in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
