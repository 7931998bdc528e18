"""The rooms of the Python package: a module imports only modules of rooms below its own, or of its own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "python" / "transferqueue"
#: From the bottom to the top; a name stands for a module or a folder.
ROOMS = (
    (
        "_version",
        "errors",
        "_deprecation",
        "_alias_check",
        "_logging",
        "_arguments",
        "_enums",
        "_network",
        "_variables",
    ),
    ("_runtime",),
    ("_table",),
    ("_completions",),
    ("_core",),
    (
        "options",
        "_backends",
        "sampler",
        "_chosen_sampler",
        "_tags",
        "_objects",
        "_extra_info",
        "_meta_packing",
        "_tensors",
        "_arena",
    ),
    ("meta", "_kv_batch_meta", "_legacy_samples", "_sample_views"),
    ("_operations",),
    ("_listings", "_checkpoint_work"),
    ("storage",),
    ("client",),
    ("_job_folder",),
    ("_meeting",),
    ("_attachment",),
    ("_starter",),
    ("_partition_snapshot",),
    ("_ray_controller",),
    ("_ray_job",),
    ("_session",),
    ("_server_info",),
    ("_lifecycle", "_kv", "_checkpoint", "_lazy_batch", "_loan", "_row_reads", "legacy", "streaming", "server"),
    ("_handles",),
    ("__init__",),
    ("demo", "bench", "migrate", "cli"),  # users of the package like everybody
    ("__main__",),
)
HEIGHTS = {name: height for height, names in enumerate(ROOMS) for name in names}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room_of(source: Path) -> str:
    return source.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(source: Path) -> set[str]:
    """Full names of what a source imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_used_by(source: Path) -> set[str]:
    """Rooms that a source imports from; a name of the package itself that is no module comes from the shop window."""
    names = {name.split(".")[1] for name in imports_of(source) if name.startswith("transferqueue.")}
    own = {"__init__"} if "transferqueue" in imports_of(source) else set()
    return {name if name in HEIGHTS else "__init__" for name in names if name != "__version__"} | own


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_a_module_uses_only_rooms_below_it(source: Path):
    room = room_of(source)
    assert room in HEIGHTS, f"{room}: give it a place in ROOMS"
    too_high = {used for used in rooms_used_by(source) if HEIGHTS[used] > HEIGHTS[room]}
    assert not too_high, f"{source.name} of the room {room} imports from {sorted(too_high)}, which lie above it"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_nothing_imports_the_peers_name(source: Path):
    assert not [name for name in imports_of(source) if name.split(".")[0] == "transfer_queue"]


def test_every_room_of_the_list_is_looked_at_once():
    assert len(HEIGHTS) == sum(map(len, ROOMS))


def test_the_check_sees_a_breach(tmp_path: Path):
    source = tmp_path / "low.py"
    source.write_text(
        "def f():\n    from transferqueue import client\n    from transferqueue.server.keeper import Keeper\n"
    )
    assert rooms_used_by(source) == {"client", "server"}
