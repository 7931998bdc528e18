"""What ``init`` can be told: immutable values, read from None, a dict or an omegaconf DictConfig.

The sections ``controller``, ``backend``, ``metrics`` have the peer's names; the section ``transferqueue`` is ours.
Keys that we don't know are kept in the merged configuration and otherwise ignored, because trainers put keys of their
own there.
"""

from __future__ import annotations

import copy
import ipaddress
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from transferqueue._arguments import LARGEST, require_mapping
from transferqueue._backends import ChosenBackend, choose_backend, is_registered
from transferqueue._chosen_sampler import ChosenSampler, choose_sampler
from transferqueue._variables import PRE_ALLOCATED_ROWS, read_seconds, read_whole_number
from transferqueue.errors import InvalidArgumentError, InvalidTypeError

logger = logging.getLogger("transferqueue.options")

#: As many as a batch can have.
MOST_ROWS = 1 << 24
#: Storage units are labels; more are a mistake.
MOST_UNITS = 1 << 16
METRICS_TOKEN_VARIABLE = "TRANSFERQUEUE_METRICS_TOKEN"  # noqa: S105 - a variable's name

#: What stands where the caller's configuration says nothing.
DEFAULTS: dict[str, Any] = {
    "metrics": {"enabled": False, "port": 0, "host": "127.0.0.1"},
    "controller": {"sampler": "SequentialSampler", "polling_mode": False, "zmq_info": None},
    "backend": {
        "storage_backend": "SimpleStorage",
        "SimpleStorage": {
            "total_storage_size": None,
            "num_data_storage_units": 2,
            "zmq_info": None,
            "ssd_offload": {"enabled": False, "path": None, "threshold_bytes": 1 << 20},
        },
    },
    "transferqueue": {
        "address": None,
        "job": None,
        "listen": None,
        "capacity_bytes": None,
        "allow_pickle": True,
        "shared_memory": True,
        "timeout_s": None,
        "fetch_timeout_s": None,
        "connect_timeout_s": None,
        "start_timeout_s": 60.0,
        "pre_allocated_rows": None,
        "log_file": None,
        "token_file": None,
        "sampler_timeout_s": 10.0,
    },
}


@dataclass(frozen=True, kw_only=True)
class ControllerOptions:
    """Section ``controller``: how batches are picked.

    Parameters
    ----------
    sampler
        Name of the sampler; default SequentialSampler. In a configuration also ``"module:Class"``, a class that derives
        from ``BaseSampler``, or an instance.
    sampler_arguments
        The sampler's constructor arguments; default: none. Those of an instance are its public attributes.
    own_sampler
        The sampler, if it is none of the core's; default None. It is pickled for the process that runs it.
    polling_mode
        A fetch that finds too few rows returns an empty batch at once (True), or waits (False, the default).
    """

    sampler: str = "SequentialSampler"
    sampler_arguments: Mapping[str, Any] = field(default_factory=dict)
    own_sampler: ChosenSampler | None = None
    polling_mode: bool = False


@dataclass(frozen=True, kw_only=True)
class OffloadOptions:
    """Section ``backend.SimpleStorage.ssd_offload``: large columns in files instead of memory.

    Parameters
    ----------
    enabled
        Whether it is on; default False.
    path
        The folder, on the host of the sidecar; needed where it is on. Its files have no names and go with the sidecar.
    threshold_bytes
        Bytes from which a column of a put goes to a file, > 0; default 1 MiB. Below 64 KiB none does.
    """

    enabled: bool = False
    path: str | None = None
    threshold_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        require_positive("backend.SimpleStorage.ssd_offload.threshold_bytes", self.threshold_bytes)
        if self.enabled and not self.path:
            raise InvalidArgumentError("backend.SimpleStorage.ssd_offload: enabled without a path; name a folder")

    def folder(self) -> str | None:
        """The folder to use, None where it is off.

        Raises
        ------
        InvalidArgumentError
            It is not there, or this user may not write to it.
        """
        if not self.enabled or self.path is None:
            return None
        path = Path(self.path).expanduser().absolute()
        if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            what = "may not be written to by this user" if path.is_dir() else "is no folder that is there"
            raise InvalidArgumentError(
                f"backend.SimpleStorage.ssd_offload.path: {path} {what}; make the folder, or name another one"
            )
        return str(path)


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Section ``backend.SimpleStorage``: how much is held.

    Parameters
    ----------
    total_storage_size
        Rows that may be stored at a time, > 0; None, the default, sets no limit on their number.
    num_data_storage_units
        Storage units that share the rows, > 0; default 2.
    ssd_offload
        Large columns in files; default off.
    """

    total_storage_size: int | None = None
    num_data_storage_units: int = 2
    ssd_offload: OffloadOptions = field(default_factory=OffloadOptions)

    def __post_init__(self) -> None:
        require_positive("backend.SimpleStorage.total_storage_size", self.total_storage_size, LARGEST)
        require_positive("backend.SimpleStorage.num_data_storage_units", self.num_data_storage_units, MOST_UNITS)


@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """Section ``metrics``: the HTTP endpoint for counters.

    Parameters
    ----------
    enabled
        Serve the endpoint; default False.
    port
        TCP port, 0 to 65535; 0, the default, takes a free one.
    host
        Address of this host at which it is served; default 127.0.0.1. One that others reach needs a token, in the variable
        ``TRANSFERQUEUE_METRICS_TOKEN``.
    """

    enabled: bool = False
    port: int = 0
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidArgumentError(f"metrics.port: {self.port} given; a TCP port is from 0 (a free one) to 65535")


@dataclass(frozen=True, kw_only=True)
class SidecarOptions:
    """Section ``transferqueue``: where the sidecar is and what it may use.

    Parameters
    ----------
    address
        Attach to this address, ``unix:///path`` or ``tcp://host:port``, and to no other; default None.
    job
        Name of the job whose processes share a sidecar; default None: found as ``_meeting`` says.
    listen
        Also serve other hosts on this address, ``tcp://host:port`` (port 0: a free one); default None: no TCP at all.
    capacity_bytes
        Memory for columns, in bytes, > 0; None, the default: half of the smaller of free memory and the cgroup's limit.
    allow_pickle
        Objects that no typed codec covers are pickled by the client (True, the default) or refused.
    shared_memory
        Large columns lie in memory that this process shares with the sidecar (True, the default), or are sent. Off also with
        ``TRANSFERQUEUE_SHARED_MEMORY=0`` in the environment.
    timeout_s
        Seconds that a call waits for its answer where it does not say, > 0; default ``TQ_SIMPLE_STORAGE_SEND_RECV_TIMEOUT`` of the
        environment, or 30.
    fetch_timeout_s
        Seconds that ``get_meta`` waits for rows where it does not say, > 0; default ``TQ_CONTROLLER_GET_METADATA_TIMEOUT``, or 30.
    connect_timeout_s
        Seconds that ``init`` tries an explicit address, > 0; default ``TQ_STORAGE_HANDSHAKE_TIMEOUT``, or 10.
    start_timeout_s
        Seconds that ``init`` waits for a sidecar to be ready, > 0; default 60.
    log_file
        The sidecar appends its log here, and the file stays; default None: a file that goes with the sidecar.
    sampler_timeout_s
        Seconds that a sampler of the user's own may take for one batch, > 0; default 10. Then its process is ended.
    token_file
        File with the job's token in hex, for TCP; default None: the environment variable ``TRANSFERQUEUE_TOKEN``.
    pre_allocated_rows
        Rows that every new partition reserves, 0 to 16,777,216; default ``TQ_PRE_ALLOC_SAMPLE_NUM`` of the process that starts the
        sidecar, or 1.
    """

    address: str | None = None
    job: str | None = None
    listen: str | None = None
    capacity_bytes: int | None = None
    allow_pickle: bool = True
    shared_memory: bool = True
    timeout_s: float = 30.0
    fetch_timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    start_timeout_s: float = 60.0
    log_file: str | None = None
    token_file: str | None = None
    sampler_timeout_s: float = 10.0
    pre_allocated_rows: int | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.name == "capacity_bytes" or entry.name.endswith("_s"):
                highest = LARGEST if entry.name == "capacity_bytes" else math.inf
                require_positive(f"transferqueue.{entry.name}", getattr(self, entry.name), highest)
        if self.pre_allocated_rows is not None and not 0 <= self.pre_allocated_rows <= MOST_ROWS:
            raise InvalidArgumentError(
                f"transferqueue.pre_allocated_rows: {self.pre_allocated_rows} given; it must be 0 to {MOST_ROWS}"
            )
        if self.listen is not None and not self.listen.startswith("tcp://"):
            raise InvalidArgumentError(f"transferqueue.listen: {self.listen!r} is not of the form tcp://host:port")
        if self.address is not None and not self.address.startswith(("unix://", "tcp://")):
            raise InvalidArgumentError(
                f"transferqueue.address: {self.address!r} is neither unix:///path nor tcp://host:port"
            )


@dataclass(frozen=True, kw_only=True)
class Options:
    """All that ``init`` can be told.

    Parameters
    ----------
    controller, storage, metrics, sidecar
        The sections; each defaults to its defaults.
    backend
        The user's store that ``backend.storage_backend`` names; None, the default: the sidecar holds the columns.
    pre_allocated_rows
        Rows that every new partition reserves, >= 0; default 1.
    """

    controller: ControllerOptions = field(default_factory=ControllerOptions)
    storage: StorageOptions = field(default_factory=StorageOptions)
    backend: ChosenBackend | None = None
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
    sidecar: SidecarOptions = field(default_factory=SidecarOptions)
    pre_allocated_rows: int = 1

    @classmethod
    def read(cls, conf: Any = None, environment: Mapping[str, str] | None = None) -> Options:
        """Read options from a configuration.

        Parameters
        ----------
        conf
            None, a dict or a DictConfig.
        environment
            Variables; default None: those of the process.

        Raises
        ------
        InvalidTypeError, InvalidArgumentError
            A value of a wrong type or out of range; the message names its key.
        """
        try:
            return cls._read(conf, os.environ if environment is None else environment)
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "omegaconf":
                raise
            raise InvalidArgumentError(f"{unresolved_key(conf) or 'conf'}: {str(error).splitlines()[0]}") from error

    @classmethod
    def _read(cls, conf: Any, environment: Mapping[str, str]) -> Options:
        conf = require_mapping("conf", conf)
        backend = require_mapping("backend", conf.get("backend"))
        warn_of_other_backend(backend)
        controller = read_controller(require_mapping("controller", conf.get("controller")))
        sidecar = read_section(SidecarOptions, "transferqueue", conf.get("transferqueue"), read_seconds(environment))
        if controller.own_sampler is not None and not sidecar.allow_pickle:
            raise InvalidArgumentError(
                f"controller.sampler: {controller.sampler} is code of your own, which would have to be pickled; "
                "transferqueue.allow_pickle is false: take one of the core's samplers"
            )
        return cls(
            controller=controller,
            storage=read_section(StorageOptions, "backend.SimpleStorage", backend.get("SimpleStorage")),
            backend=choose_backend(backend),
            metrics=read_section(MetricsOptions, "metrics", conf.get("metrics")),
            sidecar=sidecar,
            pre_allocated_rows=read_pre_allocated_rows(sidecar, environment),
        )


def unresolved_key(conf: Mapping[str, Any], path: str = "") -> str | None:
    """The dotted name of the first value that a configuration can't give, in the sections that are read."""
    for key in conf if path else [name for name in DEFAULTS if name in conf]:
        try:
            value = conf.get(key)
        except Exception:
            return f"{path}{key}"
        found = unresolved_key(value, f"{path}{key}.") if isinstance(value, Mapping) else None
        if found is not None:
            return found
    return None


def merge(conf: Any = None) -> Any:
    """The configuration with our defaults below it, of the type of `conf`.

    Parameters
    ----------
    conf
        None, a dict or a DictConfig. Not changed. None gives a DictConfig where omegaconf is installed, else a dict.
    """
    if conf is None:
        try:
            from omegaconf import OmegaConf
        except ImportError:
            return copy.deepcopy(DEFAULTS)
        return OmegaConf.create(copy.deepcopy(DEFAULTS), flags={"allow_objects": True})
    if type(conf).__module__.partition(".")[0] == "omegaconf":
        return merge_omegaconf(conf)
    return merge_dicts(DEFAULTS, require_mapping("conf", conf))


def as_dict_config(conf: Any) -> Any:
    """`conf`, a dict as DictConfig, where omegaconf is installed."""
    if not isinstance(conf, dict):
        return conf
    try:
        from omegaconf import OmegaConf
    except ImportError:
        return conf
    return OmegaConf.create(conf, flags={"allow_objects": True})


def merge_omegaconf(conf: Any) -> Any:
    """A new DictConfig of our defaults and `conf` above them."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        # A section of a larger configuration may point outside itself; merged, it has no outside any more.
        conf = OmegaConf.create(OmegaConf.to_container(conf, resolve=True), flags={"allow_objects": True})
    except OmegaConfBaseException:
        logger.debug("configuration: some interpolations can't be resolved; they are kept as they are")
    return OmegaConf.merge(OmegaConf.create(copy.deepcopy(DEFAULTS), flags={"allow_objects": True}), conf)


def merge_dicts(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A new dict with the entries of both, dicts merged likewise; `above` wins."""
    merged = {key: copy.deepcopy(value) for key, value in below.items()}
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge_dicts(under if isinstance(under, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def read_controller(section: Mapping[str, Any]) -> ControllerOptions:
    """Read the section ``controller``; a sampler may be a name, one of our classes or an instance of one."""
    sampler = section.get("sampler")
    given = require_mapping("controller.sampler_arguments", section.get("sampler_arguments"))
    chosen = choose_sampler("SequentialSampler" if sampler is None else sampler, given)
    polling_mode = section.get("polling_mode")
    return ControllerOptions(
        sampler=chosen.name,
        sampler_arguments=chosen.arguments,
        own_sampler=None if chosen.own is None else chosen,
        polling_mode=False if polling_mode is None else read_bool("controller.polling_mode", polling_mode),
    )


def read_section(cls: type[Any], path: str, section: Any, defaults: Mapping[str, Any] | None = None) -> Any:
    """Read a section whose keys are the fields of the dataclass `cls`; a missing or null key takes its default.

    Parameters
    ----------
    cls, path, section
        The dataclass; the section's dotted name; the section.
    defaults
        Values that come before the dataclass's own defaults.
    """
    section = require_mapping(path, section)
    values = dict(defaults or {})
    for entry in fields(cls):
        value = section.get(entry.name)
        if value is not None:
            values[entry.name] = READERS[str(entry.type).removesuffix(" | None")](f"{path}.{entry.name}", value)
    if cls is SidecarOptions:
        unknown = sorted(map(str, set(section) - {entry.name for entry in fields(cls)}))
        if unknown:
            logger.warning("configuration: no option %s; ignored", ", ".join(f"{path}.{name}" for name in unknown))
    return cls(**values)


def is_loopback(host: str) -> bool:
    """Tell whether an address or a name stands for this host as only this host sees it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_positive(path: str, value: float | None, highest: float = math.inf) -> None:
    """Refuse a number that is not > 0, or above `highest`; None is no number."""
    if value is not None and not 0 < value <= highest:
        bounds = "> 0" if highest == math.inf else f"1 to {highest}"
        raise InvalidArgumentError(f"{path}: {value} given; it must be {bounds}")


def read_bool(path: str, value: Any) -> bool:
    """A truth value."""
    if isinstance(value, bool):
        return value
    raise InvalidTypeError(f"{path}: {value!r} given; it must be true or false")


def read_int(path: str, value: Any) -> int:
    """A whole number; 1e5, as YAML reads it, is one."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    raise InvalidTypeError(f"{path}: {value!r} given; it must be a whole number")


def read_float(path: str, value: Any) -> float:
    """A number."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise InvalidTypeError(f"{path}: {value!r} given; it must be a number")


def read_str(path: str, value: Any) -> str:
    """A text."""
    if isinstance(value, str):
        return value
    raise InvalidTypeError(f"{path}: {value!r} given; it must be a string")


READERS: dict[str, Callable[[str, Any], Any]] = {
    "bool": read_bool,
    "int": read_int,
    "float": read_float,
    "str": read_str,
    "OffloadOptions": lambda path, value: read_section(OffloadOptions, path, value),
}


def read_pre_allocated_rows(sidecar: SidecarOptions, environment: Mapping[str, str]) -> int:
    """Rows that every new partition reserves: from the configuration, else from the environment."""
    if sidecar.pre_allocated_rows is not None:
        return sidecar.pre_allocated_rows
    return read_whole_number(environment, PRE_ALLOCATED_ROWS, 1, MOST_ROWS)


def warn_of_other_backend(backend: Mapping[str, Any]) -> None:
    """Say that a backend of the peer's is not used."""
    name = backend.get("storage_backend") or "SimpleStorage"
    if name != "SimpleStorage" and not is_registered(str(name)):
        logger.warning("backend.storage_backend: %r is not served here; rows are held by the sidecar itself", name)
