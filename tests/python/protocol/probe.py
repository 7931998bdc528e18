"""The C# side of the cross-check: a process that reads headers and writes them again."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path


class Probe:
    """A process with the C# readers and writers of headers: what it can read comes back as it writes it."""

    def __init__(self, program: Path) -> None:
        command = ["dotnet", str(program)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def written_again(self, type_: int, header: bytes, frames: tuple[int, ...] = ()) -> bytes:
        """The header as C# writes it; ValueError with C#'s words if it refuses it."""
        assert self._process.stdin is not None
        head = struct.pack(f"<HHI{len(frames)}q", type_, len(frames), len(header), *frames)
        self._process.stdin.write(head + header)
        read, length = struct.unpack("<?i", self._take(5))
        answer = self._take(length)
        if not read:
            raise ValueError(answer.decode())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=20) == 0
        self._process.stdout.close()

    def _take(self, count: int) -> bytes:
        assert self._process.stdout is not None
        taken = b""
        while len(taken) < count:
            part = self._process.stdout.read(count - len(taken))
            assert part, f"the probe ended, {self._process.poll()}"
            taken += part
        return taken
