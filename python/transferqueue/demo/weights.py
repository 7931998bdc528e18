"""Weights travel through the queue too: a version of the policy is one row of a partition, a flat vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import transferqueue as tq
from transferqueue.demo.settings import WEIGHTS

if TYPE_CHECKING:
    from transferqueue.demo.stage import Stage


def publish(stage: Stage, model: nn.Module, version: int) -> None:
    """Put the weights of `model`; stages that wait for the next version get them now."""
    with torch.no_grad():
        vector = parameters_to_vector(model.parameters())
    stage.put_new([str(version)], WEIGHTS, {"version": version}, weights=vector[None])


def receive(stage: Stage, model: nn.Module) -> None:
    """Wait for a version that this stage has not had, and load it into `model`."""
    row = stage.get(stage.take(["weights"], 1, WEIGHTS))
    with torch.no_grad():
        vector_to_parameters(row["weights"].values().clone(), model.parameters())


def withdraw(version: int) -> None:
    """Clear a version that all have had."""
    tq.kv_clear(keys=[str(version)], partition_id=WEIGHTS)
