"""The trainer: puts questions and weights, waits for the other stages, puts advantages, learns."""

from __future__ import annotations

import random
import time

import torch
from torch import nn

import transferqueue as tq
from transferqueue.demo import grpo, weights
from transferqueue.demo.arithmetic import question, split_pairs
from transferqueue.demo.exam import Exam
from transferqueue.demo.jagged import column_of
from transferqueue.demo.model import Transformer
from transferqueue.demo.settings import CURVE, SAMPLES
from transferqueue.demo.stage import Stage
from transferqueue.demo.warm_start import warm_start

#: Training pairs on which the warm start looks how far it is.
PROBE = 300


class Trainer:
    """The policy that learns, and what it needs for it.

    Parameters
    ----------
    stage : Stage
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.settings = stage, stage.settings
        torch.manual_seed(self.settings.seed)
        self.draw = random.Random(self.settings.seed)
        self.pairs, held_out = split_pairs(self.settings.digits, self.settings.seed)
        self.model = Transformer(self.settings.digits)
        self.exam = Exam(held_out, self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0
        )

    def warm_up(self) -> None:
        """Bring random weights to a mediocre accuracy by supervised learning."""
        settings = self.settings
        lessons, probe = Exam(self.pairs, self.model), Exam(self.pairs[:PROBE], self.model)
        curve = list[tuple[int, float]]()
        for step, accuracy in warm_start(self.model, lessons, probe, settings.warm_start_accuracy, settings.seed):
            curve.append((step, accuracy))
            self.stage.report(phase="warm start", step=step, accuracy=accuracy)
        for step, accuracy in curve:
            mark(f"warm-{step}", phase="warm start", step=step - curve[-1][0], accuracy=accuracy)

    def learn(self) -> None:
        """Steps of GRPO until their number or the time is up, with an exam before, between and after."""
        settings, started = self.settings, time.monotonic()
        self.examine(0)
        for step in range(settings.steps):
            passed = max(step / settings.steps, (time.monotonic() - started) / settings.seconds)
            figures = self.step(step, pace=1 - 0.9 * min(passed, 1.0))
            last = step + 1 == settings.steps or time.monotonic() - started > settings.seconds
            if last or (step + 1) % settings.evaluate_every == 0:
                self.examine(step + 1, **figures)
            if last:
                break

    def step(self, step: int, pace: float) -> dict[str, float]:
        """One synchronous step of GRPO: the rows of a step are made, learned from, and cleared."""
        settings = self.settings
        weights.publish(self.stage, self.model, step)
        keys = self.ask(step)
        reward = self.add_advantages()
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * pace
        divergence = self.update()
        tq.kv_clear(keys=keys, partition_id=SAMPLES)
        weights.withdraw(step)
        self.stage.report(done=len(keys), phase="GRPO", step=step + 1, reward=reward, kl=divergence)
        return {"reward": reward, "kl": divergence}

    def ask(self, step: int) -> list[str]:
        """Put the questions of a step, each as many times as its group has samples."""
        settings = self.settings
        chosen = [self.draw.choice(self.pairs) for _ in range(settings.questions_per_step)]
        asked = [question(pair) for pair in chosen for _ in range(settings.group_size)]
        numbers = torch.arange(settings.questions_per_step).repeat_interleave(settings.group_size)
        keys = [f"{step}_{row // settings.group_size}_{row % settings.group_size}" for row in range(len(asked))]
        self.stage.put_new(keys, SAMPLES, {"step": step}, prompts=column_of(asked), question=numbers)
        self.stage.report(asked=(step + 1) * len(keys))
        return keys

    def add_advantages(self) -> float:
        """Wait for the rewards, put the advantages; the mean reward."""
        rows = self.stage.take(["rewards", "question"], self.settings.samples_per_step, task="advantage")
        batch = self.stage.get(rows)
        advantages = grpo.group_advantages(batch["rewards"], batch["question"])
        if self.settings.shuffle_advantages:
            advantages = advantages[torch.randperm(len(advantages))]
        self.stage.put(rows, advantages=advantages)
        return float(batch["rewards"].mean())

    def update(self) -> float:
        """Wait for every column of the loss, get them by minibatch, learn; the mean KL divergence to the reference."""
        rows = self.stage.take(grpo.LOSS_COLUMNS, self.settings.samples_per_step, task="update")
        rows.reorder(torch.randperm(rows.size).tolist())
        divergences = []
        for part in rows.chunk(chunks=self.settings.minibatches):
            loss, divergence = grpo.loss(self.model, self.stage.get(part), self.settings)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            divergences.append(float(divergence))
        return sum(divergences) / len(divergences)

    def examine(self, step: int, **figures: float) -> None:
        """Measure the accuracy and add it to the curve."""
        accuracy = self.exam.accuracy_of(self.model)
        mark(f"grpo-{step}", phase="GRPO", step=step, accuracy=accuracy, questions=len(self.exam), **figures)
        self.stage.report(phase="GRPO", step=step, accuracy=accuracy)


def mark(key: str, **figures: str | float) -> None:
    """Add a point to the curve: a row that has a tag only."""
    tq.kv_put(key=key, partition_id=CURVE, tag={**figures, "time": time.time()})


def run(stage: Stage) -> None:
    """The whole run; the other stages end when this one has."""
    trainer = Trainer(stage)
    trainer.warm_up()
    trainer.learn()
