"""How far the consumers of a dataset have come; shared with the workers of a loader.

Batches are numbered from 0. Of W workers ("lanes"; 1 where there are no workers) lane w makes the batches w, w + W,
w + 2 W … . The place of a lane is (batch, micro-batches of it that were delivered); its front is the batch that it will
have next. Batches are delivered in order, so they are also fetched in order: the lane with the lowest front fetches.
Else the last rows could be taken as batch 8 while batch 7 waits for more, and who waits for batch 7 gets neither.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from transferqueue.errors import InvalidArgumentError

_NAME_LIMIT = 4096
#: Positions in the numbers; then two per lane, its place, and one per lane, its front.
NO_FRONT = 2**62
_TURN, _ROUND, _ENDED_ROUND, _PARTITION_TURN, _NAME_LENGTH, _PLACES = range(6)


class Place(NamedTuple):
    """Where a lane is."""

    batch: int
    micro: int


class Snapshot(NamedTuple):
    """What a lane goes by: it changes when the turn does."""

    turn: int
    partition_turn: int
    partition_id: str
    place: Place


class Progress:
    """Partition, places, and which iteration is the current one.

    Written by the process that consumes, read by the workers, which see each change of partition and places as a whole
    (the turn is odd while it is being made). Plain pickling copies it; a loader's workers share it.

    Parameters
    ----------
    partition_id
        The partition, at most 4096 bytes in UTF-8.
    lanes
        Number of lanes, at least 1.
    """

    def __init__(self, partition_id: str, lanes: int = 1) -> None:
        self._numbers = torch.zeros(_PLACES + 3 * lanes, dtype=torch.int64)
        self._name = torch.zeros(_NAME_LIMIT, dtype=torch.uint8)
        self.move(partition_id)

    def __reduce__(self) -> Any:
        return _rebuild, (self._numbers, self._name)

    # --- what is read ---

    @property
    def lanes(self) -> int:
        """Number of lanes W."""
        return (len(self._numbers) - _PLACES) // 3

    @property
    def turn(self) -> int:
        """Rises with each change of partition or places."""
        return int(self._numbers[_TURN])

    @property
    def round(self) -> int:
        """Number of the current iteration."""
        return int(self._numbers[_ROUND])

    @property
    def partition_id(self) -> str:
        """The partition."""
        return bytes(self._name[: int(self._numbers[_NAME_LENGTH])].tolist()).decode()

    @property
    def places(self) -> list[Place]:
        """The place of each lane."""
        numbers = self._numbers[_PLACES : self._fronts].tolist()
        return [Place(*numbers[at : at + 2]) for at in range(0, len(numbers), 2)]

    @property
    def has_begun(self) -> bool:
        """Whether anything was delivered since the first batch."""
        return self.places != self._first_places()

    def is_over(self, number: int) -> bool:
        """Whether an iteration is no longer the current one."""
        return number != self.round or int(self._numbers[_ENDED_ROUND]) >= number

    @property
    def _fronts(self) -> int:
        return _PLACES + 2 * self.lanes

    def may_fetch(self, number: int) -> bool:
        """Whether all batches before this one have been fetched, as far as this process can see."""
        return not self._numbers.is_shared() or int(self._numbers[self._fronts :].min()) >= number  # type: ignore[no-untyped-call]

    def snapshot(self, lane: int) -> Snapshot:
        """What a lane has to go by."""
        while True:
            turn = self.turn
            taken = Snapshot(turn, int(self._numbers[_PARTITION_TURN]), self.partition_id, self.places[lane])
            if turn % 2 == 0 and turn == self.turn:
                return taken

    # --- what is written ---

    def advance(self, lane: int, front: int) -> None:
        """Note which batch a lane will have next; the lane does this itself."""
        self._numbers[self._fronts + lane] = front

    def begin_round(self) -> int:
        """Make a new iteration the current one; its number."""
        self._set_fronts()
        self._numbers[_ROUND] += 1
        return self.round

    def end_round(self, number: int) -> None:
        """End an iteration, if it is still the current one."""
        if number == self.round:
            self._numbers[_ENDED_ROUND] = number

    def deliver(self, lane: int, place: Place) -> None:
        """Note where a lane is after a delivery."""
        self._numbers[_PLACES + 2 * lane : _PLACES + 2 * lane + 2] = torch.tensor(place)

    def move(self, partition_id: str, places: list[Place] | None = None) -> None:
        """Go to a partition, whatever was remembered of its batches to be forgotten; to its first batches by default."""
        name = partition_id.encode()
        if len(name) > _NAME_LIMIT:
            raise InvalidArgumentError(f"partition_id: {len(name)} bytes given; at most {_NAME_LIMIT} are possible")
        self._numbers[_TURN] += 1
        self._numbers[_PARTITION_TURN] += 1
        self._name[: len(name)] = torch.tensor(list(name), dtype=torch.uint8)
        self._numbers[_NAME_LENGTH] = len(name)
        self._set_places(places)
        self._numbers[_TURN] += 1

    def seek(self, places: list[Place] | None = None) -> None:
        """Go to other batches of the partition; to the first ones by default."""
        self._numbers[_TURN] += 1
        self._set_places(places)
        self._numbers[_TURN] += 1

    def _set_places(self, places: list[Place] | None) -> None:
        self._numbers[_PLACES : self._fronts] = torch.tensor(places or self._first_places()).flatten()
        self._set_fronts()

    def _set_fronts(self) -> None:
        self._numbers[self._fronts :] = torch.tensor([place.batch for place in self.places])

    def _first_places(self) -> list[Place]:
        return [Place(lane, 0) for lane in range(self.lanes)]

    # --- dividing among workers ---

    def divided(self, lanes: int) -> Progress:
        """The same progress with another number of lanes.

        Raises
        ------
        InvalidArgumentError
            Something was delivered to several lanes already.
        """
        if lanes == self.lanes:
            return self
        made = Progress(self.partition_id, lanes)
        if self.lanes == 1:
            [(batch, micro)] = self.places
            ahead = [batch + (lane - batch) % lanes for lane in range(lanes)]
            made.seek([Place(first, micro if first == batch else 0) for first in ahead])
        elif self.has_begun:
            raise InvalidArgumentError(
                f"num_workers: the batches of partition {self.partition_id!r} were divided among {self.lanes} workers "
                f"and some are delivered, so {lanes} can't go on; use {self.lanes}, or call reset() or step() before"
            )
        return made

    def share(self) -> None:
        """Put it where workers that get it see what is written from now on."""
        self._numbers.share_memory_()  # type: ignore[no-untyped-call]
        self._name.share_memory_()  # type: ignore[no-untyped-call]


def _rebuild(numbers: torch.Tensor, name: torch.Tensor) -> Progress:
    made = Progress.__new__(Progress)
    made._numbers, made._name = numbers, name
    return made
