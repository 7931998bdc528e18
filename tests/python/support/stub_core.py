"""A core that holds nothing: it says that it is ready and waits. The variable STUB names its one vice."""

import argparse
import json
import os
import signal
import socket
import struct
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--folder")
for option in ("--control-fd", "--listen-fd", "--memory-fd"):
    parser.add_argument(option, type=int)
arguments = parser.parse_args()
control = socket.socket(fileno=arguments.control_fd)
vice = os.environ.get("STUB", "")


def tell(message):
    control.sendall(json.dumps(message).encode() + b"\n")


if vice == "fails":
    tell({"error": "StubError: no memory"})
    sys.exit(1)
if vice == "gateway fails" and arguments.memory_fd is None:
    tell({"error": "StubError: no port"})
    sys.exit(1)
if vice == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if vice == "says nothing":
    time.sleep(600)
if vice == "slow":
    time.sleep(1)
if vice == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = socket.socket(fileno=arguments.memory_fd) if arguments.memory_fd is not None else None
if vice == "has memory":
    for number in (1, 2, 3):
        file = os.memfd_create(f"arena-{number}")
        os.truncate(file, 4096)
        socket.send_fds(memory, [struct.pack("<qq", number, 4096)], [file])
        os.close(file)
    memory.send(struct.pack("<qq", 2, 4096))
tell({"ready": {"address": f"stub {os.getpid()}"}})
while control.recv(1):
    pass
if vice == "stubborn":
    time.sleep(600)
