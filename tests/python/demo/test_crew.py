"""How the demo's processes start."""

import multiprocessing.forkserver
import tempfile

import pytest

from transferqueue.demo import crew


@pytest.mark.parametrize(("folder", "method"), [("/tmp", "forkserver"), ("/tmp/" + 80 * "x", "spawn")])
def test_processes_are_forked_unless_a_socket_among_the_temporary_files_has_too_long_a_path(
    monkeypatch: pytest.MonkeyPatch, folder: str, method: str
):
    monkeypatch.setattr(tempfile, "tempdir", folder)
    monkeypatch.setattr(multiprocessing.forkserver._forkserver, "_preload_modules", [])
    assert crew.start_context().get_start_method() == method
