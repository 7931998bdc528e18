"""What code for the peer makes by hand where ``init`` does it all: a controller, storage units, room for them.

There is one sidecar, and ``init`` starts it. A controller made here is that of the job; a storage unit is a name for a part of it.
"""

from __future__ import annotations

import itertools
from typing import Any

from transferqueue import _lifecycle, _ray_job, _session
from transferqueue._arguments import require_number
from transferqueue._enums import Role
from transferqueue._server_info import ZMQServerInfo

__all__ = ["Placement", "SimpleStorageUnit", "TransferQueueController", "get_placement_group"]

_unit_numbers = itertools.count()


class _Answer:
    """A method of a handle: ``handle.method.remote(...)``."""

    def __init__(self, method: Any) -> None:
        self._method = method

    def remote(self, *arguments: Any, **named: Any) -> Any:
        """Return the answer itself; there is nothing to wait for."""
        return self._method(*arguments, **named)


class TransferQueueController:
    """The controller of this job's queue, as code makes it that does not call ``init``.

    In a Ray job `remote` returns the actor; else an object whose methods have ``remote``, too, and return their answers at once.
    """

    def __init__(self, conf: Any) -> None:
        self._conf = conf

    @classmethod
    def options(cls, *_: Any, **__: Any) -> type[TransferQueueController]:
        """Take options of Ray's for an actor; the queue needs none."""
        return cls

    @classmethod
    def remote(cls, sampler: Any = "SequentialSampler", polling_mode: bool = False) -> Any:
        """Start this job's queue, or attach to it if it is there.

        Parameters
        ----------
        sampler
            A name, a class or an instance, as ``controller.sampler`` of the configuration.
        polling_mode
            As ``controller.polling_mode``.

        Returns
        -------
        object
            A handle, for `process_zmq_server_info`.
        """
        conf = _lifecycle.init({"controller": {"sampler": sampler, "polling_mode": polling_mode}})
        return find_controller(conf)

    @property
    def get_zmq_server_info(self) -> _Answer:
        """Where it serves."""
        return _Answer(lambda: ZMQServerInfo.of_address(Role.CONTROLLER, _session.session().address))

    @property
    def get_config(self) -> _Answer:
        """The configuration that the queue was started with."""
        return _Answer(lambda: self._conf)

    @property
    def register_sampler(self) -> _Answer:
        """Let another sampler pick from now on."""
        return _Answer(_lifecycle.register_sampler)

    @property
    def list_partitions(self) -> _Answer:
        """The partitions, in the order in which they were made."""
        return _Answer(lambda: _session.client().get_partition_list())


def find_controller(conf: Any = None) -> Any:
    """A handle of the controller of this process's queue: in a Ray job the actor."""
    return _find_actor() or TransferQueueController(conf)


def _find_actor() -> Any:
    ray = _ray_job.find_ray()
    if ray is None:
        return None
    # A second job's actor has the job in its name.
    own_name = f"{_ray_job.ACTOR_NAME}-{ray.get_runtime_context().get_job_id()}"
    return _ray_job.look_up(ray, own_name) or _ray_job.look_up(ray, _ray_job.ACTOR_NAME)


class SimpleStorageUnit:
    """A storage unit, as code makes it that does not call ``init``; the sidecar holds the rows of all of them.

    Parameters
    ----------
    storage_unit_size
        Rows, > 0, or None. Not a limit here; ``backend.SimpleStorage.total_storage_size`` is one.
    """

    def __init__(self, storage_unit_size: int | None = None) -> None:
        if storage_unit_size is not None:
            require_number("storage_unit_size", storage_unit_size, 1)
        self._id = f"TransferQueueStorageUnit#{next(_unit_numbers)}"

    @classmethod
    def options(cls, *_: Any, **__: Any) -> type[SimpleStorageUnit]:
        """Take options of Ray's for an actor; a unit is none."""
        return cls

    @classmethod
    def remote(cls, storage_unit_size: int | None = None) -> SimpleStorageUnit:
        """Return a handle, for `process_zmq_server_info`; starts nothing."""
        return cls(storage_unit_size)

    @property
    def get_zmq_server_info(self) -> _Answer:
        """Where it serves; without a queue yet, the address is empty."""
        return _Answer(self._info)

    def _info(self) -> ZMQServerInfo:
        session = _session.find()
        if session is None:
            return ZMQServerInfo(Role.STORAGE, self._id)
        info = ZMQServerInfo.of_address(Role.STORAGE, session.address)
        info.id = self._id
        return info


class Placement:
    """Room for actors that need none, where the peer has a placement group: no CPU is reserved."""

    def __init__(self, bundles: int) -> None:
        self.bundle_count = bundles

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each actor needs: nothing."""
        return [{} for _ in range(self.bundle_count)]


def get_placement_group(num_ray_actors: int, num_cpus_per_actor: int = 1) -> Placement:
    """Return room for storage units, at once.

    Parameters
    ----------
    num_ray_actors
        Storage units, >= 1.
    num_cpus_per_actor
        Not reserved: a unit is a part of the sidecar.
    """
    require_number("num_cpus_per_actor", num_cpus_per_actor, 0)
    return Placement(require_number("num_ray_actors", num_ray_actors, 1))
