"""What the documents show is run, and runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from support.fork_server import Forked

ROOT = Path(__file__).parents[3]
#: Before the code of a document: it may call nothing that is deprecated.
STRICT = 'import warnings; warnings.filterwarnings("error", "", DeprecationWarning, "__main__")\n'
DOCUMENTS = [path for path in sorted(ROOT.glob("docs/*.md")) if "```python" in path.read_text(encoding="utf-8")]


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(code: str) -> str:
    """Run code in a process and a queue of its own; return what it printed."""
    program = Forked(STRICT + code, {**os.environ, "TRANSFERQUEUE_JOB": f"docs-{uuid.uuid4().hex[:8]}"})
    printed, errors = program.communicate()
    assert program.returncode == 0, errors[-4000:]
    return printed


def test_what_is_deprecated_is_shown_nowhere() -> None:
    with pytest.raises(AssertionError, match="DeprecationWarning: not this way"):
        run("import warnings; warnings.warn('not this way', DeprecationWarning)")


def test_the_readme_shows_the_quickstart() -> None:
    blocks = python_blocks(ROOT / "README.md")
    assert blocks[0].strip() == (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8").strip()


def test_the_quickstart_prints_what_it_put() -> None:
    """Started as a user starts it: it may rely on nothing that is there already."""
    quickstart = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(ROOT / "examples" / "quickstart.py")]
    done = subprocess.run(quickstart, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "[2, 0, 5, 0] [1.0, 1.0]"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_runs_from_top_to_bottom(path: Path) -> None:
    run("\n".join(python_blocks(path)))


def test_no_other_code_of_the_readme_is_left_out() -> None:
    assert len(python_blocks(ROOT / "README.md")) == 1


def test_only_code_for_the_peer_is_shown_without_being_run() -> None:
    fences = {
        path.name: re.findall(r"^```(\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    }
    others = {(name, fence) for name, found in fences.items() for fence in found if fence.startswith("py")}
    assert others - {(path.name, "python") for path in [ROOT / "README.md", *DOCUMENTS]} == {
        ("api.md", "pycon"),  # docstrings: test_docstrings.py
        ("migration.md", "py"),  # rows as the peer had them
    }


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    broken = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert not broken


def test_the_reference_is_that_of_the_docstrings() -> None:
    script = str(ROOT / "docs" / "build_reference.py")
    run(f"import runpy, sys; sys.argv = [{script!r}, '--check']; runpy.run_path({script!r}, run_name='__main__')")
