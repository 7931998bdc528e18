"""What figures are held against: the peer's, what was tried, what is to be reached."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("targets.json")


@functools.cache
def targets() -> dict[str, dict[str, Any]]:
    """By ``workload/figure``: any of better, peer, tried, reach, dream."""
    figures: dict[str, dict[str, Any]] = json.loads(FILE.read_text())["figures"]
    return figures


def source() -> str:
    """Where the peer's figures and those that were tried come from."""
    text: str = json.loads(FILE.read_text())["source"]
    return text


def target_of(workload: str, name: str) -> Mapping[str, Any]:
    """The targets of a figure; empty if it has none."""
    return targets().get(f"{workload}/{name}", {})


def share_of(figure: Mapping[str, Any]) -> float:
    """How much of the yardstick's speed a figure has: 1 is as fast."""
    return 1 / float(figure["ratio"])


def meets(figure: Mapping[str, Any], bound: Mapping[str, float] | None, better: str = "less") -> bool | None:
    """Whether a figure is as good as a bound on its median, or on its share of the yardstick; None without one."""
    if bound is None:
        return None
    if "share" in bound:
        return share_of(figure) >= bound["share"]
    if better == "more":
        return bool(figure["median"] >= bound["median"])
    return bool(figure["median"] <= bound["median"])


def verdict(figure: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """``dream``, ``reach``, ``no``, or nothing where nothing was asked."""
    better = target.get("better", "less")
    if meets(figure, target.get("dream"), better):
        return "dream"
    reached = meets(figure, target.get("reach"), better)
    if reached is None:
        return "no dream" if "dream" in target else ""
    return "reach" if reached else "no"
