"""The actor ``TransferQueueController`` of a Ray job: it owns the job's sidecar, and answers what the peer's controller answers.

It holds no rows and runs no one else's code. The sidecar is started by this process and ends with it: when the actor's owner dies,
when the job ends, when someone kills the actor.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transferqueue import _operations, _starter
from transferqueue._attachment import KeeperEnding
from transferqueue._chosen_sampler import choose_sampler
from transferqueue._meeting import OWNER, Job, read_pid_namespace, read_process
from transferqueue._partition_snapshot import PartitionSnapshot, take_snapshot
from transferqueue.errors import ConnectionLostError
from transferqueue.options import Options, as_dict_config

if TYPE_CHECKING:
    from torch import Tensor

    from transferqueue._starter import Meeting
    from transferqueue.client import TransferQueueClient
    from transferqueue.meta import BatchMeta

LISTEN_TIMEOUT_S = 30.0


class TransferQueueController:
    """The sidecar's owner in a Ray job; an actor. Methods run on several threads.

    Parameters
    ----------
    creator
        What tells the process that made the actor from others.
    options
        What the sidecar is started with.
    conf
        The whole configuration, for `get_config`.
    """

    def __init__(self, creator: str, options: Options, conf: Any) -> None:
        import ray

        context = ray.get_runtime_context()
        self._creator = creator
        self._options = options
        self._conf = conf
        self._job_id = context.get_job_id()
        self._node_id = context.get_node_id()
        self._host = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        self._lock = threading.RLock()
        self._meeting: Meeting | None = None
        self._client: TransferQueueClient | None = None

    # -- for transferqueue in the job's processes

    def serve(self, job: str) -> dict[str, str]:
        """Where the sidecar is; the first call of its own job starts it.

        Parameters
        ----------
        job
            The caller's Ray job.

        Returns
        -------
        dict
            job, this actor's; for that job also creator, node, address, and the metrics' endpoint or "".

        Raises
        ------
        TransferQueueError
            What `init` raises without Ray.
        """
        told = {"job": self._job_id}
        if job == self._job_id:
            told |= {"creator": self._creator, "node": self._node_id, "address": self._met().ready["address"]}
            told["metrics"] = self._met().ready["metrics"] or ""
        return told

    def serve_others(self) -> dict[str, Any]:
        """Where the sidecar is for other nodes; the first call opens a TCP port on this node's address.

        Returns
        -------
        dict
            address, ``tcp://host:port``, and the job's token in hex, which a client there has to know.
        """
        host = f"[{self._host}]" if ":" in self._host else self._host
        with self._lock:
            meeting = self._met()
            try:
                address = meeting.attachment.listen(f"tcp://{host}:0", time.monotonic() + LISTEN_TIMEOUT_S)
            except KeeperEnding:
                raise ConnectionLostError("transferqueue: the sidecar of this Ray job is ending") from None
            return {"address": reachable(address, host), "token": meeting.folder.token.read_text(encoding="ascii")}

    def end(self) -> None:
        """End the sidecar and wait until it has ended; the actor itself is then to be killed."""
        with self._lock:
            meeting, self._meeting, self._client = self._meeting, None, None
            if meeting is not None and meeting.keeper is not None:
                meeting.attachment.end()
                meeting.keeper.wait()

    def _met(self) -> Meeting:
        with self._lock:
            if self._meeting is None:
                own = read_process(os.getpid())
                name = f"ray {self._job_id}"
                # A new actor of the same job has a folder of its own; nobody needs to guess it.
                key = f"{name} {read_pid_namespace()} {own.pid} {own.start_time}"
                self._meeting = _starter.attach_or_start(Job(name=name, key=key, mode=OWNER), os.environ, self._options)
            return self._meeting

    def _asked(self) -> TransferQueueClient:
        with self._lock:
            if self._client is None:
                from transferqueue._core import Connection
                from transferqueue.client import TransferQueueClient

                sidecar = self._options.sidecar
                connection = Connection.open(self._met().ready["address"], None, sidecar.connect_timeout_s, False)
                self._client = TransferQueueClient(
                    connection, timeout_s=sidecar.timeout_s, allow_pickle=sidecar.allow_pickle
                )
            return self._client

    # -- the peer's methods

    def get_config(self) -> Any:
        """The configuration that the queue was started with, defaults filled in: a DictConfig."""
        return as_dict_config(self._conf)

    def store_config(self, conf: Any) -> None:
        """Let `get_config` return `conf` from now on; the running queue stays as it is."""
        self._conf = conf

    def register_sampler(self, sampler: Any, sampler_arguments: Mapping[str, Any] | None = None) -> None:
        """Let another sampler pick from now on; like ``transferqueue.register_sampler``."""
        chosen = choose_sampler(sampler, sampler_arguments or {})
        with self._lock:
            _starter.choose_sampler(self._met(), chosen, self._options)
            if chosen.own is None:
                self._asked()._send(_operations.set_sampler(chosen.name, chosen.arguments))

    def get_zmq_server_info(self) -> dict[str, Any]:
        """Where the sidecar serves: ``{"role", "id", "ip", "ports"}``; ``ports`` is empty until a node joined over TCP."""
        ready = self._met().ready
        return {"role": "controller", "id": ready["address"], "ip": self._host, "ports": {}}

    def list_partitions(self) -> list[str]:
        """The partitions in the order of their creation."""
        return self._asked().get_partition_list()

    def clear_partition(self, partition_id: str, clear_consumption: bool = True) -> None:  # noqa: ARG002
        """Remove a partition with its rows and what was consumed of them; one that is not there is ignored."""
        self._asked().clear_partition(partition_id)

    def get_partition_snapshot(self, partition_id: str) -> PartitionSnapshot | None:
        """A copy of what there is of a partition: rows, keys, tags, what is ready and consumed; None if it is not there."""
        return take_snapshot(self._asked(), partition_id)

    def get_partition_index_range(self, partition_id: str) -> list[int]:
        """The global indexes of a partition's rows, ascending; none if it is not there."""
        return sorted(self._asked().get_meta([], None, partition_id, mode="force_fetch").global_indexes)

    def get_consumption_status(self, partition_id: str, task_name: str) -> tuple[Tensor | None, Tensor | None]:
        """Like ``TransferQueueClient.get_consumption_status``."""
        return self._asked().get_consumption_status(task_name, partition_id)

    def get_production_status(
        self, partition_id: str, data_fields: Sequence[str]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Like ``TransferQueueClient.get_production_status``."""
        return self._asked().get_production_status(data_fields, partition_id)

    def reset_consumption(self, partition_id: str, task_name: str | None = None) -> bool:
        """Like ``TransferQueueClient.reset_consumption``."""
        return self._asked().reset_consumption(partition_id, task_name)

    def get_metadata(
        self,
        data_fields: Sequence[str],
        partition_id: str,
        mode: str = "fetch",
        task_name: str | None = None,
        batch_size: int | None = None,
        sampling_config: Mapping[str, Any] | None = None,
    ) -> BatchMeta:
        """Like ``TransferQueueClient.get_meta``."""
        return self._asked().get_meta(data_fields, batch_size, partition_id, mode, task_name, sampling_config)

    def kv_retrieve_meta(self, keys: list[str] | str, partition_id: str, create: bool = False) -> BatchMeta:
        """Like ``TransferQueueClient.kv_retrieve_meta``."""
        return self._asked().kv_retrieve_meta(keys, partition_id, create)

    def kv_retrieve_keys(self, global_indexes: list[int] | int, partition_id: str) -> list[str | None]:
        """Like ``TransferQueueClient.kv_retrieve_keys``."""
        return self._asked().kv_retrieve_keys(global_indexes, partition_id)


def reachable(address: str, host: str) -> str:
    """An address that others can connect to: a gateway that listens everywhere is met at `host`."""
    listens, _, port = address.removeprefix("tcp://").rpartition(":")
    return f"tcp://{host}:{port}" if listens in ("*", "0.0.0.0", "[::]") else address  # noqa: S104 - read, not bound
