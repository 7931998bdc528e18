"""What a run of the demo does: one value, given to every process."""

from __future__ import annotations

from dataclasses import dataclass

#: Partitions of the queue that the demo uses.
SAMPLES, WEIGHTS, PROGRESS, CURVE = "train", "weights", "progress", "curve"
ROLLOUTS = ("rollout-0", "rollout-1")
ROLES = (*ROLLOUTS, "reward", "reference", "trainer")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run of the demo.

    Attributes
    ----------
    seed : int, default 0
        Draws the first weights, the held-out pairs, the questions and, per worker, the samples. Two runs of one seed differ
        a little: which rollout worker gets which rows is a race.
    digits : int, 1 or 2, default 1
        Digits of an operand. One digit has 100 pairs, all of which are trained on and asked in the exam; of two digits the
        exam asks 1000 pairs that are held out.
    steps : int, default 240
        Steps of GRPO, at most.
    seconds : float, seconds, default 600
        Time for GRPO; it ends after the step in which they pass. The default is for a machine that is busy with other
        things: alone on two cores the steps need a tenth of it.
    shuffle_advantages : bool, default False
        Give each sample the advantage of another one. Nothing can be learned then: the control of the experiment.
    warm_start_accuracy : float, 0..1
        The supervised warm start ends when this share of some training pairs is right.
    questions_per_step : int
        Different questions in one step.
    group_size : int
        Samples for each question; their rewards are compared with each other.
    minibatches : int
        Optimizer steps for one step of GRPO; must divide `questions_per_step` times `group_size`.
    learning_rate : float
        Of AdamW in GRPO; falls linearly to a tenth of it.
    clip : float
        How far the ratio of new to old probability may leave 1 before its gradient is cut.
    kl_weight : float
        Weight of the KL divergence to the reference model.
    evaluate_every : int, steps
        Greedy evaluations are this far apart.
    """

    seed: int = 0
    digits: int = 1
    steps: int = 240
    seconds: float = 600.0
    shuffle_advantages: bool = False
    warm_start_accuracy: float = 0.4
    questions_per_step: int = 32
    group_size: int = 8
    minibatches: int = 2
    learning_rate: float = 5e-4
    clip: float = 0.2
    kl_weight: float = 0.001
    evaluate_every: int = 20

    @property
    def samples_per_step(self) -> int:
        """Rows of one step."""
        return self.questions_per_step * self.group_size

    @property
    def rows_per_rollout(self) -> int:
        """Rows of one step that one rollout worker samples."""
        return self.samples_per_step // len(ROLLOUTS)
