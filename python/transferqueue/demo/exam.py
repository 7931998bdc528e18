"""The exam: greedy exact match, the figure that the demo is judged by."""

from __future__ import annotations

import torch
from torch import Tensor

from transferqueue.demo.arithmetic import Pair, answer, question
from transferqueue.demo.jagged import column_of, pad_left, pad_right
from transferqueue.demo.model import Transformer, accuracy


class Exam:
    """Questions with their answers, as rectangles.

    Parameters
    ----------
    pairs : list of (int, int)
    model : Transformer
        Sets the widths; not kept.
    """

    def __init__(self, pairs: list[Pair], model: Transformer) -> None:
        self.questions = pad_left(column_of([question(pair) for pair in pairs]), model.question_width)
        self.answers = pad_right(column_of([answer(pair) for pair in pairs]), model.answer_width)

    def __len__(self) -> int:
        return len(self.questions)

    def accuracy_of(self, model: Transformer) -> float:
        """The share of exactly right greedy answers, 0..1."""
        return accuracy(model, self.questions, self.answers)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` random questions with their answers, with repetition."""
        chosen = torch.randint(len(self), (count,), generator=generator)
        return self.questions[chosen], self.answers[chosen]
