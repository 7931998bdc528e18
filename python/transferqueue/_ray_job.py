"""How processes of a Ray job meet: by the actor ``TransferQueueController`` in the namespace ``transfer_queue``.

Ray is used where the process has imported it and is connected to a cluster; it is never imported or started from here. The actor
belongs to the process whose ``init`` made it, takes no CPU, and runs on that process's node. Actors are known by name in
the whole cluster: where another job has the name already, the actor's is ``TransferQueueController-<job>``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transferqueue._ray_controller import TransferQueueController
from transferqueue.errors import DeadlineExceededError, NotRunningError, TransferQueueError
from transferqueue.options import Options

logger = logging.getLogger("transferqueue.ray")

ACTOR_NAME = "TransferQueueController"
NAMESPACE = "transfer_queue"
UNIX = "unix://"
#: Threads on which the actor answers: those that wait for rows do not keep those out that look for the sidecar.
THREADS = 16
END_TIMEOUT_S = 20.0
_PAUSE_S = 0.05
#: The sidecar's own start is bounded, and knows better what is missing.
_MARGIN_S = 5.0

#: Handles of actors that this process made, for its whole life: an actor ends with its owner's last handle, and a
#: forked child must not drop a copy.
_made: list[Any] = []
_is_forked_copy = False


class ActorGone(Exception):
    """The actor has ended, or is ending; the message says why."""


@dataclass(frozen=True, kw_only=True)
class RayMeeting:
    """What the actor told.

    Parameters
    ----------
    address
        Of the sidecar, as this process reaches it: ``unix:///path`` on its node, else ``tcp://host:port``.
    token
        For TCP, in hex; None on the same node.
    job
        The Ray job.
    metrics
        Where metrics are served, ``host:port``; None without them.
    made
        The actor's handle if this process made it; else None.
    """

    address: str
    token: str | None
    job: str
    metrics: str | None = None
    made: Any = None

    def is_current(self) -> bool:
        """Tell whether this process is still connected as the same job."""
        ray = find_ray()
        return ray is not None and ray.get_runtime_context().get_job_id() == self.job

    def publish(self, conf: Any, timeout_s: float) -> None:
        """Let the actor, which this process made, answer ``get_config`` with `conf`."""
        ask(self.made, "store_config", time.monotonic() + timeout_s, conf)

    def end(self) -> None:
        """End the sidecar and the actor, which this process made; raises nothing."""
        ray = find_ray()
        if ray is None or not self.is_current():
            return  # the actor has ended with the connection
        try:
            ask(self.made, "end", time.monotonic() + END_TIMEOUT_S)
        except Exception as error:
            logger.warning("the actor %s did not end the sidecar: %s; it is killed", ACTOR_NAME, error)
        with contextlib.suppress(Exception):
            ray.kill(self.made)


def find_ray() -> Any:
    """The module ``ray`` if this process is connected to a cluster; else None. Imports nothing."""
    ray = sys.modules.get("ray")
    is_initialized = getattr(ray, "is_initialized", None)
    return ray if is_initialized is not None and not _is_forked_copy and is_initialized() else None


def meet(ray: Any, options: Options, conf: Callable[[], Any], *, start: bool) -> RayMeeting:
    """Find the job's sidecar by its actor; with `start` make the actor if there is none.

    Parameters
    ----------
    ray
        What `find_ray` returned.
    options
        What the sidecar is started with, if it is.
    conf
        Makes the whole configuration, for the actor's ``get_config``.
    start
        Make an actor if there is none.

    Raises
    ------
    NotRunningError
        There is none, and `start` is false.
    DeadlineExceededError
        The actor did not answer within ``transferqueue.start_timeout_s``.
    TransferQueueError
        The sidecar can't start; the actor of this name is not ours.
    """
    deadline = time.monotonic() + options.sidecar.start_timeout_s + _MARGIN_S
    job = ray.get_runtime_context().get_job_id()
    creator, made = uuid.uuid4().hex, None
    while True:
        try:
            name, handle, told = find_actor(ray, job, deadline)
            if handle is not None:
                meeting = reach(ray, handle, told, deadline)
                return replace(meeting, made=made) if told["creator"] == creator else meeting
            if not start:
                raise NotRunningError(
                    f"transferqueue: no sidecar is running for Ray job {job}: namespace {NAMESPACE} has no actor "
                    f"{name} of it; call transferqueue.init() first, in the driver"
                )
            made = make_actor(ray, name, creator, options, conf())
        except ActorGone as error:
            # Its owner has died, or has just closed; the next look finds another one, or none.
            wait_a_little(error, deadline)
        except BaseException:
            if made is not None:
                with contextlib.suppress(Exception):
                    ray.kill(made)
            raise


def find_actor(ray: Any, job: str, deadline: float) -> tuple[str, Any, dict[str, str]]:
    """The job's actor: its name, its handle, and what its ``serve`` told; (the name to take, None, {}) without one."""
    own_name = f"{ACTOR_NAME}-{job}"
    for name in (ACTOR_NAME, own_name):
        handle = look_up(ray, name)
        if handle is None:
            continue
        told = ask(handle, "serve", deadline, job)
        if told["job"] == job:
            return name, handle, told
        if name == ACTOR_NAME:
            handle = look_up(ray, own_name)
            return own_name, handle, {} if handle is None else ask(handle, "serve", deadline, job)
    return ACTOR_NAME, None, {}


def look_up(ray: Any, name: str) -> Any:
    """A handle of the actor `name`; None without one."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def make_actor(ray: Any, name: str, creator: str, options: Options, conf: Any) -> Any:
    """A handle of the actor `name`, made now unless another process was faster; it is not waited for."""
    node = ray.get_runtime_context().get_node_id()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    handle = (
        ray.remote(TransferQueueController)
        .options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            num_cpus=0,
            max_restarts=0,
            max_concurrency=THREADS,
            scheduling_strategy=strategy(node, soft=False),
        )
        .remote(creator, options, conf)
    )
    _made.append(handle)
    return handle


def reach(ray: Any, handle: Any, told: dict[str, str], deadline: float) -> RayMeeting:
    """How this process reaches the sidecar that the actor told of: on its node by the socket, elsewhere over TCP."""
    address, token = told["address"], None
    is_here = told["node"] == ray.get_runtime_context().get_node_id()
    # A container has a node's id without seeing its files; a driver that came by ray:// has its proxy's.
    if not is_here or not Path(address.removeprefix(UNIX)).exists():
        others = ask(handle, "serve_others", deadline)
        address, token = others["address"], others["token"]
    return RayMeeting(address=address, token=token, job=told["job"], metrics=told["metrics"] or None)


def ask(handle: Any, method: str, deadline: float, *arguments: Any) -> Any:
    """Call a method of the actor and wait for its answer.

    Raises
    ------
    ActorGone
        It has ended, or is ending.
    DeadlineExceededError
        No answer up to `deadline`.
    TransferQueueError
        The actor can't be made, or is not ours.
    """
    from ray import exceptions

    try:
        bound = getattr(handle, method)
    except AttributeError:
        raise TransferQueueError(
            f"transferqueue: the actor {ACTOR_NAME} in namespace {NAMESPACE} is not one of transferqueue-net; end the "
            "queue that made it (the package transferqueue, or another version), or give this job a cluster of its own"
        ) from None
    try:
        # Not ray.get(), which complains in an async actor.
        return bound.remote(*arguments).future().result(max(0.001, deadline - time.monotonic()))
    except exceptions.RayTaskError as error:
        raise error.cause from None
    except exceptions.RayActorError as error:
        if error.actor_init_failed:
            raise TransferQueueError(f"transferqueue: the actor {ACTOR_NAME} can't be made: {error}") from None
        raise ActorGone(str(error)) from None
    except TimeoutError:
        raise DeadlineExceededError(
            f"transferqueue: the actor {ACTOR_NAME} in namespace {NAMESPACE} did not answer {method}() in time: Ray has not "
            "started its process yet, or it hangs; `ray list actors` tells its state and its node, where its log is. It "
            "needs no CPU, but a node that is alive, and transferqueue-net installed there"
        ) from None


def wait_a_little(error: ActorGone, deadline: float) -> None:
    """Pause before looking again, up to `deadline`."""
    if time.monotonic() > deadline:
        raise DeadlineExceededError(
            f"transferqueue: the actor {ACTOR_NAME} in namespace {NAMESPACE} ends again and again, the last time: {error}"
        ) from None
    time.sleep(_PAUSE_S)


def _note_fork() -> None:
    global _is_forked_copy
    ray = sys.modules.get("ray")
    # Its threads are not here: what a forked copy asks of Ray is never answered.
    _is_forked_copy = _is_forked_copy or bool(getattr(ray, "is_initialized", bool)())


os.register_at_fork(after_in_child=_note_fork)
