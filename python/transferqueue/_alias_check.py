"""Whether the alias ``transfer_queue`` on disk is the one that ``transferqueue-net-alias`` installed.

The name belongs to another distribution, too (``transferqueue``), and pip lets either overwrite the other's files, or
remove them on uninstall, without a word. The alias's RECORD, which lists the SHA-256 of each of its files, tells.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ALIAS = "transferqueue-net-alias"
PEER = "transferqueue"
_SHOWN = 3


def check_alias() -> str | None:
    """Compare the installed alias with its RECORD.

    Returns
    -------
    str or None
        None if every file of the alias is as it was installed, or no alias is installed. Else one sentence that says
        what is wrong and the pip command that repairs it.
    """
    alias = _find_distribution(ALIAS)
    if alias is None:
        return None
    recorded = _read_record(alias)
    damaged = [name for name, digest in recorded if not _is_intact(Path(str(alias.locate_file(name))), digest)]
    return _describe_damage(alias, damaged) if damaged else None


def _find_distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _read_record(alias: Distribution) -> Iterator[tuple[str, str]]:
    """File names and their hashes; lines without a hash (byte code, RECORD itself) are left out.

    Read here because ``Distribution.files`` leaves out missing files from Python 3.12 on.
    """
    for name, digest, *_ in csv.reader((alias.read_text("RECORD") or "").splitlines()):
        if digest.startswith("sha256="):
            yield name, digest.removeprefix("sha256=")


def _is_intact(file: Path, expected: str) -> bool:
    try:
        content = file.read_bytes()
    except OSError:
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return digest.decode("ascii") == expected


def _describe_damage(alias: Distribution, damaged: list[str]) -> str:
    shown = ", ".join(damaged[:_SHOWN]) + (", …" if len(damaged) > _SHOWN else "")
    return (
        f"transfer_queue: {len(damaged)} of the files of {ALIAS} {alias.version} were changed or removed"
        f"{_describe_culprit()} ({shown}); run: {_repair_command(alias)}"
    )


def _describe_culprit() -> str:
    peer = _find_distribution(PEER)
    return f" by {PEER} {peer.version}, which owns the same names" if peer else ""


def _repair_command(alias: Distribution) -> str:
    pip = f"{sys.executable} -m pip"
    install = f"{pip} install --force-reinstall --no-deps {ALIAS}=={alias.version}"
    return f"{pip} uninstall -y {PEER} && {install}" if _find_distribution(PEER) else install
