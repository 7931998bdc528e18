"""Group relative policy optimization: advantages and loss (Shao et al., DeepSeekMath, 2024, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transferqueue.demo.arithmetic import PAD
from transferqueue.demo.jagged import pad_left, pad_right
from transferqueue.demo.model import Transformer, token_log_probs

if TYPE_CHECKING:
    from tensordict import TensorDictBase

    from transferqueue.demo.settings import Settings

#: Every column that the loss reads.
LOSS_COLUMNS = ["prompts", "responses", "rollout_log_probs", "ref_log_probs", "advantages"]


def group_advantages(rewards: Tensor, question: Tensor) -> Tensor:
    """How much better than the other answers to its question each one is, in standard deviations.

    Parameters
    ----------
    rewards : Tensor [B], float32
    question : Tensor [B], int64
        Which question a sample answers; samples of one question are a group.
    """
    _, group = torch.unique(question, return_inverse=True)
    sizes = torch.bincount(group).clamp(min=1)
    mean = torch.zeros(len(sizes)).index_add(0, group, rewards) / sizes
    centred = rewards - mean[group]
    variance = torch.zeros(len(sizes)).index_add(0, group, centred**2) / (sizes - 1).clamp(min=1)
    return centred / (variance.sqrt()[group] + 1e-4)


def loss(model: Transformer, batch: TensorDictBase, settings: Settings) -> tuple[Tensor, Tensor]:
    """The loss to minimize, and the KL divergence to the reference for show; both the mean over tokens.

    Everything but the weights comes out of `batch`, which holds `LOSS_COLUMNS` as they were got from the queue.
    """
    questions = pad_left(batch["prompts"], model.question_width)
    answers = pad_right(batch["responses"], model.answer_width)
    before = pad_right(batch["rollout_log_probs"], model.answer_width, 0.0)
    reference = pad_right(batch["ref_log_probs"], model.answer_width, 0.0)
    advantages = batch["advantages"][:, None]

    now = token_log_probs(model, questions, answers)
    ratio = (now - before).exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    gain = torch.minimum(ratio * advantages, clipped * advantages)
    # Never negative and without bias (http://joschu.net/blog/kl-approx.html, k3).
    divergence = (reference - now).exp() - (reference - now) - 1
    spoken = answers != PAD
    return (settings.kl_weight * divergence - gain)[spoken].mean(), divergence.detach()[spoken].mean()
