"""Source files: which there are, and reading and writing them without changing how they are written."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "find_sources", "read_source", "write_source"]

_SUFFIXES = (".py", ".pyi")
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True)
class Source:
    """A file's text as it stands, line ends included, and its encoding."""

    path: Path
    text: str
    encoding: str


def find_sources(paths: Iterable[Path]) -> Iterator[Path]:
    """Files given, whatever they are called, and Python files in folders given, each once, in order.

    Folders that are hidden, or hold an environment or what was installed into one, are left out, and so are links to
    folders.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _files_of(path):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file


def _files_of(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(folder, name)))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(_SUFFIXES) and name[0] != ".")


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists()


def read_source(path: Path) -> Source:
    """Read a file in the encoding that it declares.

    Raises
    ------
    OSError
        It can't be read.
    ValueError, SyntaxError
        Its bytes are not those of the encoding, or there is no such encoding.
    """
    content = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return Source(path, content.decode(encoding), encoding)


def write_source(source: Source, text: str) -> None:
    """Exchange a file's text: whoever reads it sees all of the old or all of the new one.

    Raises
    ------
    OSError
        It can't be written; it is as it was.
    """
    target = source.path.resolve()
    content = text.encode(source.encoding)
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        shutil.copymode(target, beside)
        Path(beside).replace(target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
