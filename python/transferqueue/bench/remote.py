"""P12: a get over TCP through the gateway, beside a loop of raw sockets that moves the same frames."""

from __future__ import annotations

import os
import socket
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from transferqueue.bench import batches
from transferqueue.bench.crew import Crew, Worker
from transferqueue.bench.own_queue import ADDRESS_VARIABLE, own_queue
from transferqueue.bench.series import Series, figure, timed, yardstick
from transferqueue.bench.yardsticks import column_bytes

LOOPBACK = "127.0.0.1"


def over_tcp(quick: bool) -> dict[str, dict[str, Any]]:
    """P12: gets of the batch of P1 by a process that only knows a TCP address; the raw loop takes turns with it."""
    from transferqueue import _session

    data = batches.uniform(32, 9, 64) if quick else batches.uniform()
    rounds, keys = 2 if quick else 7, batches.keys_of(len(data))
    size = column_bytes(data)
    raw: list[float] = []
    got: list[float] = []
    with own_queue({"transferqueue": {"listen": f"tcp://{LOOPBACK}:0"}}) as tq, Crew() as crew:
        tq.kv_batch_put(keys, "p", data)
        ready = _session.session().ready
        log = _session.session().log_path
        assert log is not None, "a sidecar of this process's own has a log"
        token = (log.parent / "token").read_text()
        reader = crew.start(get_remotely, ready["tcp_address"], token, keys)
        sender = crew.start(send_raw, [size // 9] * 9)
        receiver = RawReceiver(sender, [size // 9] * 9)
        reader.receive()
        for _ in range(rounds + 1):
            raw += timed(receiver.take, 1, warm_up=0).samples
            reader.send("get")
            got.append(reader.receive())
        receiver.close()
        reader.send(None)
        reader.receive()
    held = yardstick("raw sockets", Series(first=raw[0], samples=raw[1:]), size)
    return {"P12": {"get over TCP": figure(Series(first=got[0], samples=got[1:]), yardstick=held)}}


def get_remotely(connection: Connection, address: str, token: str, keys: list[str]) -> None:
    """A process as on another host: gets when told, answers with milliseconds."""
    import transferqueue as tq

    os.environ.pop(ADDRESS_VARIABLE, None)
    os.environ["TRANSFERQUEUE_TOKEN"] = token
    tq.init({"transferqueue": {"address": address}})
    connection.send("ready")
    while connection.recv() is not None:
        begin = time.perf_counter()
        got = tq.kv_batch_get(keys, "p")
        took = time.perf_counter() - begin
        del got
        connection.send(took * 1e3)
    tq.close()
    connection.send("closed")


def send_raw(connection: Connection, lengths: list[int]) -> None:
    """A process that answers each byte with the frames, from memory that was touched before."""
    frames = [np.ones(length, np.uint8) for length in lengths]
    with socket.create_server((LOOPBACK, 0)) as server:
        connection.send(server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while peer.recv(1):
                for frame in frames:
                    peer.sendall(frame.data)


class RawReceiver:
    """The other end of `send_raw`; its buffers are recycled."""

    def __init__(self, sender: Worker, lengths: list[int]) -> None:
        self._buffers = [np.zeros(length, np.uint8) for length in lengths]
        self._socket = socket.create_connection((LOOPBACK, sender.receive()))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def take(self) -> None:
        """Receive the frames once."""
        self._socket.sendall(b"g")
        for buffer in self._buffers:
            room = memoryview(buffer.data).cast("B")
            while room:
                count = self._socket.recv_into(room)
                if count == 0:
                    raise ConnectionError("the sender of raw frames has ended")
                room = room[count:]

    def close(self) -> None:
        """Let the sender end."""
        self._socket.close()
