"""Other hosts: pyzmq, an implementation that is not ours, speaks to the ROUTER; strangers get nowhere."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch
import zmq
from queue_fixtures import running_queue
from tensordict import NonTensorStack, TensorDict

from support.fork_server import Forked
from transferqueue import _session

PRELUDE = struct.Struct("<IHHQQIIIIQ")
MAGIC = 0x314E5154
HELLO, PING, AUTH, PUT, GET, OK, ERROR = 1, 2, 3, 10, 11, 100, 101
#: Of the gateway's managed memory, so that a flood ends it soon; columns never lie there.
HEAP_VARIABLE = "DOTNET_GCHeapHardLimit"
HEAP_LIMIT = 384 << 20


@pytest.fixture(scope="module")
def tq() -> Iterator[Any]:
    before = os.environ.get(HEAP_VARIABLE)
    os.environ[HEAP_VARIABLE] = hex(HEAP_LIMIT)
    try:
        with running_queue({"transferqueue": {"listen": "tcp://127.0.0.1:0"}}) as package:
            yield package
    finally:
        if before is None:
            del os.environ[HEAP_VARIABLE]
        else:
            os.environ[HEAP_VARIABLE] = before


def address() -> str:
    """Where the gateway listens now; after a restart it may be another port."""
    log = _session.session().log_path
    assert log is not None
    lines = [line for line in log.read_text().splitlines() if "gateway: listening on" in line]
    return lines[-1].split()[-1]


def token() -> bytes:
    log = _session.session().log_path
    assert log is not None
    return bytes.fromhex((Path(log).parent / "token").read_text())


class Dealer:
    """A client of a few lines, over pyzmq."""

    def __init__(self, where: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, 20_000)
        self._socket.connect(where)
        self._client = os.urandom(16)
        self._next = 0

    def ask(self, kind: int, header: dict[str, Any], frames: list[bytes] = [], version: int = 1) -> Any:  # noqa: B006
        self._next += 1
        packed = msgpack.packb(header)
        prelude = PRELUDE.pack(
            MAGIC, version, kind, self._next, self._next, 10_000, len(packed), len(frames), 0, sum(map(len, frames))
        )
        lengths = struct.pack(f"<{len(frames)}Q", *map(len, frames))
        self._socket.send_multipart([prelude + lengths + packed, *frames])
        return self.receive()

    def receive(self) -> tuple[int, dict[str, Any], list[bytes]]:
        first, *frames = self._socket.recv_multipart()
        _, _, kind, _, _, _, size, count, _, payload = PRELUDE.unpack_from(first)
        assert count == len(frames)
        assert payload == sum(map(len, frames))
        header = msgpack.unpackb(first[PRELUDE.size + 8 * count :])
        assert len(first) == PRELUDE.size + 8 * count + size
        return kind, header, frames

    def skip_to(self, request: int) -> None:
        """Give the next request this id."""
        self._next = request - 1

    def greet(self, key: bytes) -> tuple[int, dict[str, Any], list[bytes]]:
        kind, header, _ = self.ask(HELLO, {"client": self._client, "pid": os.getpid(), "package": "test"})
        assert kind == OK, header
        mac = hmac.new(key, self._client + header["nonce"], hashlib.sha256).digest()
        return self.ask(AUTH, {"client": self._client, "nonce": header["nonce"], "mac": mac})

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def dealer(tq: Any) -> Iterator[Dealer]:
    dealer = Dealer(address())
    yield dealer
    dealer.close()


class BusyNeighbour:
    """A local client that keeps calling; every answer must come."""

    def __init__(self, tq: Any) -> None:
        self._tq = tq
        self._stop = threading.Event()
        self.answers = 0
        self.errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._tq.kv_put("neighbour", "busy", tag={"n": self.answers})
                self.answers += 1
            except Exception as error:
                self.errors.append(error)

    def __enter__(self) -> BusyNeighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self.errors
        assert self.answers > 0


def offsets_frame(rows: list[bytes]) -> bytes:
    head = b"".join(struct.pack("<q", sum(map(len, rows[:i]))) for i in range(len(rows) + 1))
    return head + bytes(-len(head) % 64) + b"".join(rows)


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_a_put_and_a_get_are_a_header_and_a_frame_per_column(tq: Any, dealer: Dealer, rows: int) -> None:
    partition = f"frames{rows}"
    assert dealer.greet(token())[0] == OK
    lengths = [1 + i % 3 for i in range(rows)]
    jagged = offsets_frame([b"".join(struct.pack("<q", i) for _ in range(n)) for i, n in enumerate(lengths)])
    # offsets of a jagged column count slices, not bytes
    head = b"".join(struct.pack("<q", sum(lengths[:i])) for i in range(rows + 1))
    jagged = head + bytes(-len(head) % 64) + jagged[(len(head) + 63) // 64 * 64 :]
    frames = [
        torch.arange(rows * 4, dtype=torch.float32).numpy().tobytes(),
        jagged,
        offsets_frame([f"text {i}".encode() for i in range(rows)]),
    ]
    columns = [["dense", 0, 6, [4]], ["jagged", 1, 4, [-1]], ["text", 3, -1, []]]
    keys = {"n": rows, "k": "\0".join(f"k{i}" for i in range(rows)).encode()}
    kind, header, sent = dealer.ask(
        PUT, {"n": rows, "partition": partition, "keys": keys, "columns": columns, "want": "kv"}, frames
    )
    assert kind == OK, header
    assert header["fields"] == ["dense", "jagged", "text"]
    assert sent == []
    kind, header, received = dealer.ask(GET, {"partition": partition, "keys": keys, "strict": False})
    assert kind == OK, header
    assert header["n"] == rows
    assert received == frames
    local = tq.kv_batch_get([f"k{rows - 1}"], partition)
    assert local["jagged"][0].tolist() == [rows - 1] * lengths[-1]
    assert local["text"] == [f"text {rows - 1}"]


def test_what_a_local_client_put_reads_the_same_remotely(tq: Any) -> None:
    data = TensorDict({"x": torch.arange(3_000_000).reshape(3, -1), "s": NonTensorStack("ü", "", "z")}, batch_size=3)
    tq.kv_batch_put(["a", "b", "c"], "remote", data)
    code = """
import torch
from tensordict import TensorDict
import transferqueue as tq
tq.init()
got = tq.kv_batch_get(["c", "a"], "remote")
assert torch.equal(got["x"].values(), torch.cat([torch.arange(2_000_000, 3_000_000), torch.arange(1_000_000)]))
assert got["s"] == ["z", "ü"]
tq.kv_batch_put(["a"], "remote", TensorDict({"y": torch.ones(1, 500_000)}, batch_size=1), tags=[{"from": "afar"}])
tq.close()
"""
    environment = {**os.environ, "TRANSFERQUEUE_ADDRESS": address(), "TRANSFERQUEUE_TOKEN": token().hex()}
    program = Forked(code, environment)
    errors = program.communicate()[1]
    assert program.returncode == 0, errors[-3000:]
    assert tq.kv_batch_get("a", "remote", "y")["y"].values().sum().item() == 500_000
    assert tq.kv_list("remote")["remote"]["a"] == {"from": "afar"}


def test_columns_for_another_host_are_read_from_shared_memory(tq: Any, dealer: Dealer) -> None:
    rows, partition = 64, "apart"
    x = torch.randn(rows, 4096)
    tq.kv_batch_put([f"k{i}" for i in range(rows)], partition, TensorDict({"x": x, "y": torch.arange(rows)}, rows))
    assert dealer.greet(token())[0] == OK
    keys = {"n": rows, "k": "\0".join(f"k{i}" for i in range(rows)).encode()}
    before = tq.get_client().stats()
    kind, header, frames = dealer.ask(GET, {"partition": partition, "keys": keys, "fields": ["x", "y"], "strict": True})
    assert kind == OK, header
    assert frames == [x.numpy().tobytes(), torch.arange(rows).numpy().tobytes()]
    after = tq.get_client().stats()
    assert after["bytes_viewed"] - before["bytes_viewed"] == x.nbytes
    assert after["bytes_inline"] - before["bytes_inline"] == rows * 8
    assert after["bytes_gathered"] == before["bytes_gathered"]
    assert after["client_leases"] == before["client_leases"]


def test_the_gateways_own_request_ids_are_not_for_its_clients(tq: Any, dealer: Dealer) -> None:
    assert dealer.greet(token())[0] == OK
    dealer.skip_to(2**63 - 1)
    assert dealer.ask(PING, {})[0] == OK
    kind, header, _ = dealer.ask(PING, {})
    assert kind == ERROR
    assert "2^63" in header["message"]


def test_a_wrong_token_is_refused_and_said(tq: Any, dealer: Dealer) -> None:
    kind, header, _ = dealer.greet(b"\0" * 32)
    assert kind == ERROR
    assert header["kind"] == 14
    assert "token" in header["message"]


def test_no_request_is_served_before_the_proof(tq: Any, dealer: Dealer) -> None:
    kind, header, _ = dealer.ask(PING, {})
    assert kind == ERROR
    assert header["kind"] == 14


def test_a_client_without_the_token_gets_a_typed_error(tq: Any) -> None:
    code = "import transferqueue as tq\ntry:\n    tq.init()\nexcept PermissionError as error:\n    print(type(error).__name__, error)\n"
    environment = {**os.environ, "TRANSFERQUEUE_ADDRESS": address(), "TRANSFERQUEUE_TOKEN": "00" * 32}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stdout.startswith("AuthenticationError"), done.stderr[-2000:]
    assert "token" in done.stdout


def test_another_version_is_told_both(tq: Any, dealer: Dealer) -> None:
    kind, header, _ = dealer.ask(HELLO, {"client": bytes(16), "pid": 1, "package": "x"}, version=7)
    assert kind == ERROR
    assert header["kind"] == 11
    assert "7" in header["message"]
    assert "1" in header["message"]


def zmtp_stranger(where: str) -> socket.socket:
    """A raw connection that has shaken hands as a DEALER (ZMTP 3.0, rfc.zeromq.org/spec/23)."""
    host, port = where[len("tcp://") :].rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=10)
    greeting = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
    connection.sendall(greeting)
    received = b""
    while len(received) < 64:
        received += connection.recv(64 - len(received))
    ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
    connection.recv(256)
    return connection


def test_garbage_on_the_tcp_port_hurts_nobody(tq: Any) -> None:
    host, port = address()[len("tcp://") :].rsplit(":", 1)
    with BusyNeighbour(tq):
        for size in (1, 9, 64, 10_000):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(os.urandom(size))
        stranger = zmtp_stranger(address())
        stranger.sendall(b"\x00\x05hello" + b"\x00\x40" + bytes(64))
        time.sleep(0.2)
        stranger.close()
    remote = Dealer(address())
    assert remote.greet(token())[0] == OK
    remote.close()


def test_endless_more_frames_cost_no_local_answer_and_the_gateway_comes_back(tq: Any) -> None:
    frame = b"\x03" + struct.pack(">Q", 1 << 20) + bytes(1 << 20)
    with BusyNeighbour(tq):
        stranger = zmtp_stranger(address())
        sent = 0
        try:
            while sent < 2 * HEAP_LIMIT:
                stranger.sendall(frame)
                sent += 1 << 20
        except OSError:
            pass  # the gateway cut the stranger off, or ended
        stranger.close()
        assert sent > 0
        deadline = time.monotonic() + 40
        while True:
            remote = Dealer(address())
            remote._socket.setsockopt(zmq.RCVTIMEO, 3_000)
            try:
                assert remote.greet(token())[0] == OK
                break
            except zmq.Again:
                assert time.monotonic() < deadline, "no gateway after the flood"
            finally:
                remote.close()
    assert tq.kv_list("busy")["busy"]["neighbour"]["n"] > 0
