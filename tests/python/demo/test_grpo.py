"""Advantages and loss of GRPO."""

import math
import statistics
from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict

from transferqueue.demo.arithmetic import PAD, question
from transferqueue.demo.grpo import LOSS_COLUMNS, group_advantages, loss
from transferqueue.demo.jagged import column_of, from_mask, pad_left
from transferqueue.demo.model import Transformer, generate, token_log_probs
from transferqueue.demo.settings import Settings

SETTINGS = Settings(kl_weight=0.0)


def test_an_advantage_is_the_distance_from_the_group_in_standard_deviations():
    rewards = [1.0, 0.0, 0.0, 0.5, 2.0, 0.0]
    groups = [7, 3, 7, 3, 7, 3]  # rows of a group need not lie side by side
    got = group_advantages(torch.tensor(rewards), torch.tensor(groups))
    for row, (reward, group) in enumerate(zip(rewards, groups, strict=True)):
        mates = [other for other, theirs in zip(rewards, groups, strict=True) if theirs == group]
        wanted = (reward - statistics.mean(mates)) / (statistics.stdev(mates) + 1e-4)
        assert got[row].item() == pytest.approx(wanted, rel=1e-5)


def test_a_group_of_equal_rewards_has_no_advantage():
    assert group_advantages(torch.ones(4), torch.tensor([0, 0, 1, 1])).tolist() == [0.0] * 4


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(digits=1)


def make_batch(model: Transformer, advantages: list[float]) -> TensorDict:
    """Answers of `model` with these advantages; the reference is `model` too."""
    asked = column_of([question((left, 5)) for left in range(len(advantages))])
    answers, log_probs = generate(model, pad_left(asked, model.question_width), torch.Generator().manual_seed(3))
    said = answers != PAD
    columns = {
        "prompts": asked,
        "responses": from_mask(answers, said),
        "rollout_log_probs": from_mask(log_probs, said),
        "ref_log_probs": from_mask(log_probs, said),
        "advantages": torch.tensor(advantages),
    }
    return TensorDict(columns, batch_size=len(advantages))


def gradient_of(model: Transformer, batch: TensorDict, settings: Settings) -> float:
    model.zero_grad()
    loss(model, batch, settings)[0].backward()
    return math.sqrt(
        sum(float((parameter.grad**2).sum()) for parameter in model.parameters() if parameter.grad is not None)
    )


def test_without_advantages_there_is_nothing_to_learn(model: Transformer):
    assert gradient_of(model, make_batch(model, [0.0] * 6), SETTINGS) == 0.0
    assert gradient_of(model, make_batch(model, [1.0] * 6), SETTINGS) > 0.0


def test_a_step_makes_good_answers_likelier_and_bad_ones_less_likely(model: Transformer):
    batch = make_batch(model, [1.0, -1.0] * 3)
    questions = pad_left(batch["prompts"], model.question_width)
    answers = batch["responses"].to_padded_tensor(PAD, (6, model.answer_width))
    before = token_log_probs(model, questions, answers).sum(1).detach()
    gradient_of(model, batch, SETTINGS)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.05 * parameter.grad
    risen = token_log_probs(model, questions, answers).sum(1) - before
    assert risen[::2].mean() > 0 > risen[1::2].mean()


@pytest.mark.parametrize(("advantage", "shift"), [(1.0, -0.5), (-1.0, 0.5)])
def test_a_ratio_outside_the_clip_has_no_gradient(model: Transformer, advantage: float, shift: float):
    batch = make_batch(model, [advantage] * 4)
    batch["rollout_log_probs"] = batch["rollout_log_probs"] + shift  # the ratio is exp(-shift), clipped at 1 -+ 0.2
    assert gradient_of(model, batch, SETTINGS) == 0.0
    batch["advantages"] = -batch["advantages"]  # in this direction nothing is clipped
    assert gradient_of(model, batch, SETTINGS) > 0.0


def test_the_divergence_pulls_towards_the_reference(model: Transformer):
    batch = make_batch(model, [0.0] * 4)
    settings = replace(SETTINGS, kl_weight=1.0)
    assert loss(model, batch, settings)[1].item() == pytest.approx(0.0, abs=1e-6)
    batch["ref_log_probs"] = batch["ref_log_probs"] - 1.0
    divergence = loss(model, batch, settings)[1].item()
    assert divergence == pytest.approx(math.exp(-1) - (-1) - 1, rel=1e-4)
    assert gradient_of(model, batch, settings) > 0.0


def test_the_loss_reads_the_columns_it_names_and_no_other(model: Transformer):
    batch = make_batch(model, [1.0] * 4)
    assert sorted(batch.keys()) == sorted(LOSS_COLUMNS)
    for name in LOSS_COLUMNS:
        with pytest.raises(KeyError):
            loss(model, batch.exclude(name), SETTINGS)
