"""The rollout stage: answers questions with the newest weights. Two processes do this."""

from __future__ import annotations

import torch

from transferqueue.demo import weights
from transferqueue.demo.arithmetic import PAD
from transferqueue.demo.jagged import from_mask, pad_left
from transferqueue.demo.model import Transformer, generate
from transferqueue.demo.settings import ROLLOUTS
from transferqueue.demo.stage import Stage


def run(stage: Stage) -> None:
    """Per step: wait for weights, take this worker's share of the questions, put answers and their log-probs."""
    settings = stage.settings
    model = Transformer(settings.digits)
    draw = torch.Generator().manual_seed(settings.seed * len(ROLLOUTS) + ROLLOUTS.index(stage.name))
    while True:
        weights.receive(stage, model)
        rows = stage.take(["prompts"], settings.rows_per_rollout, task="rollout")
        questions = pad_left(stage.get(rows)["prompts"], model.question_width)
        answers, log_probs = generate(model, questions, draw)
        said = answers != PAD
        stage.put(rows, responses=from_mask(answers, said), rollout_log_probs=from_mask(log_probs, said))
        stage.report(done=rows.size)
