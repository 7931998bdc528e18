"""The supervised warm start: from random weights GRPO finds no right answer to reinforce, so the model is first shown some.

This is the only place that learns from given answers; it stops as soon as the model is mediocre.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from transferqueue.demo.arithmetic import PAD
from transferqueue.demo.exam import Exam
from transferqueue.demo.model import Transformer, token_log_probs

BATCH, LEARNING_RATE, RAMP_STEPS = 128, 5e-3, 30
#: Steps between two looks at the accuracy, and after how many to give up.
LOOK_EVERY, LIMIT = 5, 2000
#: From this share of the wanted accuracy on, learn slower and look after each step, so as not to overshoot it.
SLOW_FROM, SLOW_FACTOR = 0.3, 0.2


def warm_start(model: Transformer, lessons: Exam, probe: Exam, target: float, seed: int) -> Iterator[tuple[int, float]]:
    """Train on random `lessons` until `model` answers the share `target` of `probe`; yield steps and that share on the way."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    draw = torch.Generator().manual_seed(seed)
    slow = False
    for step in range(1, LIMIT + 1):
        pace = SLOW_FACTOR if slow else min(1.0, step / RAMP_STEPS)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * pace
        questions, answers = lessons.draw(BATCH, draw)
        mistake = -token_log_probs(model, questions, answers).sum() / (answers != PAD).sum()
        optimizer.zero_grad()
        mistake.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if slow or step % LOOK_EVERY == 0:
            accuracy = probe.accuracy_of(model)
            slow = slow or accuracy > SLOW_FROM * target
            yield step, accuracy
            if accuracy >= target:
                return
