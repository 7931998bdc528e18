"""Where the queue is, as an object that is handed from process to process: the peer's way of making clients by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transferqueue import _session
from transferqueue._core import Connection
from transferqueue._enums import Role
from transferqueue.errors import InvalidArgumentError, InvalidTypeError
from transferqueue.options import Options

__all__ = ["ZMQServerInfo", "process_zmq_server_info"]


class ZMQServerInfo:
    """Where a part of the queue serves. Despite its name, which is the peer's, usually a Unix socket.

    Not a dataclass, which OmegaConf would take apart.

    Parameters
    ----------
    role
        What it does.
    id
        A name that no other part of the queue has.
    ip
        Of its host; of a Unix socket the loopback address.
    ports
        TCP ports by name; empty for a Unix socket.
    address
        ``unix:///path`` or ``tcp://host:port``; default: made of `ip` and the first port.
    """

    def __init__(
        self,
        role: Role | str,
        id: str,  # noqa: A002 - the peer's word
        ip: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        address: str = "",
    ) -> None:
        self.role = Role(role)
        self.id = id
        self.ip = ip
        self.ports = dict(ports or {})
        self.address = address or (self._tcp(next(iter(self.ports.values()))) if self.ports else "")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, ZMQServerInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"ZMQServerInfo(role={self.role.value!r}, id={self.id!r}, address={self.address!r})"

    @classmethod
    def of_address(cls, role: Role, address: str) -> ZMQServerInfo:
        """Make one of an address."""
        parts = urlsplit(address)
        ports = {} if parts.port is None else {"request_handle_socket": parts.port}
        return cls(role, f"{role.value} {address}", parts.hostname or "127.0.0.1", ports, address)

    def to_addr(self, port_name: str) -> str:
        """Return the address of one of `ports`; of a Unix socket the only one, whatever is asked for.

        Raises
        ------
        InvalidArgumentError
            There is no such port.
        """
        if not self.ports and self.address:
            return self.address
        if port_name not in self.ports:
            raise InvalidArgumentError(f"{self.id}: no port {port_name!r}; it has {', '.join(self.ports) or 'none'}")
        return self._tcp(self.ports[port_name])

    def to_dict(self) -> dict[str, Any]:
        """Return role, id, ip and ports."""
        return {"role": self.role, "id": self.id, "ip": self.ip, "ports": dict(self.ports)}

    def connect(self) -> Connection:
        """Open a connection of its own to the queue; one on another host is met as ``init`` would.

        Raises
        ------
        NotRunningError, ConnectionLostError, AuthenticationError
            It is not there any more, or can't be reached from here.
        """
        session = _session.find()
        if session is None or session.address != self.address:
            if not self.address.startswith(_session.UNIX):
                sidecar = Options.read().sidecar
                return Connection.open(self.address, _session.read_token(sidecar), sidecar.connect_timeout_s)
            if Path(self.address.removeprefix(_session.UNIX)).exists():
                return Connection.open(self.address)
            # The socket of another host, or of a sidecar that has ended: this process's job has, or knows, a new one.
            session = _session.session()
        return session.connect()

    def _tcp(self, port: int) -> str:
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"tcp://{host}:{port}"


def process_zmq_server_info(handlers: Any) -> Any:
    """Return where the parts serve that handles stand for.

    Parameters
    ----------
    handlers
        A handle: of the controller or a storage unit, an actor of Ray or what ``TransferQueueController.remote`` returned. Or a
        dict or a list of them.

    Returns
    -------
    ZMQServerInfo or dict of str to ZMQServerInfo
        Of one handle; of several, by id.

    Raises
    ------
    InvalidTypeError
        Something is no handle.
    """
    if isinstance(handlers, Mapping):
        handlers = list(handlers.values())
    if isinstance(handlers, Sequence) and not isinstance(handlers, str):
        infos = [_info_of(handle) for handle in handlers]
        return {info.id: info for info in infos}
    return _info_of(handlers)


def _info_of(handle: Any) -> ZMQServerInfo:
    ask = getattr(getattr(handle, "get_zmq_server_info", None), "remote", None)
    if ask is None:
        raise InvalidTypeError(
            f"process_zmq_server_info: a {type(handle).__name__} given; give a handle, or a dict or list of handles"
        )
    told = ask()
    if not isinstance(told, ZMQServerInfo | Mapping):
        import ray

        told = ray.get(told)
    if isinstance(told, ZMQServerInfo):
        return told
    ports = dict(told["ports"])
    return ZMQServerInfo(Role.CONTROLLER, told["id"], told["ip"], ports, "" if ports else told["id"])
