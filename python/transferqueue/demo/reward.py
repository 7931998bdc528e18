"""The reward stage: 1 for the right sum, 0 for anything else."""

from __future__ import annotations

import torch

from transferqueue.demo.arithmetic import decode, is_right
from transferqueue.demo.jagged import row_lists
from transferqueue.demo.stage import Stage


def run(stage: Stage) -> None:
    """Per share of a step: take questions and answers, put rewards."""
    while True:
        rows = stage.take(["prompts", "responses"], stage.settings.rows_per_rollout)
        batch = stage.get(rows)
        asked, said = row_lists(batch["prompts"]), row_lists(batch["responses"])
        rewards = [float(is_right(*pair)) for pair in zip(asked, said, strict=True)]
        stage.put(rows, rewards=torch.tensor(rewards))
        stage.report(done=rows.size, example=f"{decode(asked[0])}{decode(said[0])}", example_reward=rewards[0])
