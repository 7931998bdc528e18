"""The reference stage: log-probs of the answers under the model that GRPO started from."""

from __future__ import annotations

import torch

from transferqueue.demo import weights
from transferqueue.demo.arithmetic import PAD
from transferqueue.demo.jagged import from_mask, pad_left, pad_right
from transferqueue.demo.model import Transformer, token_log_probs
from transferqueue.demo.stage import Stage


def run(stage: Stage) -> None:
    """Keep the first weights; per share of a step: take questions and answers, put log-probs."""
    settings = stage.settings
    model = Transformer(settings.digits)
    weights.receive(stage, model)
    while True:
        rows = stage.take(["prompts", "responses"], settings.rows_per_rollout)
        batch = stage.get(rows)
        questions = pad_left(batch["prompts"], model.question_width)
        answers = pad_right(batch["responses"], model.answer_width)
        with torch.no_grad():
            log_probs = token_log_probs(model, questions, answers)
        stage.put(rows, ref_log_probs=from_mask(log_probs, answers != PAD))
        stage.report(done=rows.size)
