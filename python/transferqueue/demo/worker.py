"""What each process of the demo runs: attach to the queue, be one stage, go when told or when the parent is gone."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from transferqueue.demo.settings import ROLLOUTS

if TYPE_CHECKING:
    from transferqueue.demo.settings import Settings
    from transferqueue.demo.stage import Flag


def main(role: str, settings: Settings, stopping: Flag, log: str) -> None:
    """Be the stage `role` until it ends or `stopping` is set; what it writes goes to the file `log`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; only the parent decides
    _write_to(log)
    Path("/proc/self/comm").write_text(f"tq-{role}")  # what `ps` and `top` call it
    threading.Thread(target=_end_with_parent, args=(log,), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"  # five processes share the machine: one thread each

    import torch

    import transferqueue as tq
    from transferqueue.demo.stage import Stage, StoppedError

    torch.set_num_threads(1)
    module = importlib.import_module(f"transferqueue.demo.{'rollout' if role in ROLLOUTS else role}")
    tq.init()
    try:
        stage = Stage(role, settings, stopping)
        stage.report()
        module.run(stage)
    except StoppedError:
        pass
    finally:
        tq.close()


def _write_to(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _end_with_parent(log: str) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        shutil.rmtree(Path(log).parent, ignore_errors=True)
        os._exit(1)  # nothing else needs an end: whoever could want it is gone
