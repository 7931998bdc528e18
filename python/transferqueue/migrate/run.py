"""The command ``transferqueue migrate``."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from transferqueue.migrate.sources import Source, find_sources, read_source, write_source

if TYPE_CHECKING:
    from transferqueue.migrate.rewriting import Rewritten

__all__ = ["main"]

#: Exit codes.
DONE, TO_DO, WRONG_USE, LEFT = 0, 1, 2, 3

_DESCRIPTION = """\
Rewrite code that was written for the peer (import name transfer_queue), and for its rows before 0.1.6, to
transferqueue. What no rule can decide gets a comment "# TQ-MIGRATE[rule]: what to do" above its statement, and is
listed; "# TQ-MIGRATE: ignore" above a statement keeps it as it is.
"""
_CODES = """\
exit codes: 0 nothing to do, or all done; 1 there are changes, and they were only shown; 2 wrong arguments, or libcst
is missing; 3 places are left to you (listed), or a file could not be read, parsed or written
"""


@dataclass
class _Tally:
    """What happened so far."""

    changed: int = 0
    dataproto_uses: int = 0
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def main(argv: Sequence[str]) -> int:
    """Rewrite, or show what would be; return the exit code.

    Parameters
    ----------
    argv
        The command's arguments: ``PATH... [--diff | --write] [--dataproto]``.
    """
    options = _parser().parse_args(argv)
    missing = [path for path in options.paths if not path.exists()]
    if missing:
        print(f"transferqueue migrate: no such path: {', '.join(map(str, missing))}", file=sys.stderr)
        return WRONG_USE
    try:
        import libcst  # noqa: F401
    except ImportError:
        print(
            "transferqueue migrate: it needs libcst, which is not installed;"
            ' run: pip install "transferqueue-net[migrate]"',
            file=sys.stderr,
        )
        return WRONG_USE
    tally = _Tally()
    for path in find_sources(options.paths):
        _migrate(path, options, tally)
    _report(tally, options)
    if tally.left or tally.failed:
        return LEFT
    return TO_DO if tally.changed and not options.write else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="transferqueue migrate",
        description=_DESCRIPTION,
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of Python files")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--diff", action="store_true", help="show what would change (default)")
    what.add_argument("--write", action="store_true", help="change the files, each in one step")
    parser.add_argument("--dataproto", action="store_true", help="mark uses of verl's DataProto, too")
    return parser


def _migrate(path: Path, options: argparse.Namespace, tally: _Tally) -> None:
    from transferqueue.migrate.rewriting import UnreadableError, rewrite

    try:
        source = read_source(path)
        made = rewrite(source.text, options.dataproto)
        if made.text != source.text:
            tally.changed += 1
            if options.write:
                write_source(source, made.text)
            else:
                sys.stdout.writelines(_diff(source, made.text))
    except (OSError, ValueError, SyntaxError, UnreadableError) as problem:
        tally.failed.append(f"{path}: left as it is: {problem}")
        return
    except Exception as problem:  # a fault of a rule must not keep the other files from being done
        tally.failed.append(f"{path}: left as it is: a fault of this tool: {type(problem).__name__}: {problem}")
        return
    tally.dataproto_uses += made.dataproto_uses
    tally.left += _places(source, made, in_new=options.write)


def _diff(source: Source, text: str) -> Iterator[str]:
    old, new = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    for line in difflib.unified_diff(old, new, f"a/{source.path}", f"b/{source.path}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _places(source: Source, made: Rewritten, *, in_new: bool) -> Iterator[str]:
    """The marks as ``file:line``: in the file as it is now."""
    from transferqueue.migrate.reading import lines_of

    old, new = lines_of(source.text), lines_of(made.text)
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if not in_new else []
    for number, rule, text in made.marks:
        line = number
        for _, first, end, start, stop in blocks:
            if start <= number - 1 < stop:
                line = min(first + number - start, max(end, first + 1))
        yield f"{source.path}:{line}: [{rule}] {text}"


def _report(tally: _Tally, options: argparse.Namespace) -> None:
    say = sys.stderr
    for line in (*tally.left, *tally.failed):
        print(line, file=say)
    done = "changed" if options.write else "would change (--write does it)"
    print(
        f"{_count(tally.changed, 'file')} {done}, {_count(len(tally.left), 'place')} left to you,"
        f" {_count(len(tally.failed), 'file')} could not be done",
        file=say,
    )
    if tally.dataproto_uses:
        print(f"{_count(tally.dataproto_uses, 'use')} of verl's DataProto; --dataproto marks each", file=say)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
