"""The stages of the demo on a real queue: what they read, what they write."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from transferqueue.demo import grpo, reference, reward, rollout, weights
from transferqueue.demo.arithmetic import PAD, is_right, question
from transferqueue.demo.jagged import column_of, pad_left, pad_right, row_lists
from transferqueue.demo.model import Transformer, token_log_probs
from transferqueue.demo.settings import CURVE, PROGRESS, SAMPLES, WEIGHTS, Settings
from transferqueue.demo.stage import Stage, StoppedError
from transferqueue.demo.trainer import Trainer

SETTINGS = Settings(digits=1, questions_per_step=4, group_size=4, steps=2, evaluate_every=1, warm_start_accuracy=0.05)
KEYS = [f"0_{row // 4}_{row % 4}" for row in range(16)]
QUESTIONS = [question((row // 4, 7)) for row in range(16)]


@pytest.fixture
def queue(tq: ModuleType) -> ModuleType:
    """A queue whose partitions that the demo uses are empty."""
    for name in (SAMPLES, WEIGHTS, PROGRESS, CURVE):
        tq.get_client().clear_partition(name)
    return tq


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class Threads:
    """Stages that run in threads of this process until told to stop."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, module: ModuleType, name: str) -> None:
        thread = threading.Thread(target=self._run, args=(module, name))
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        assert not self._errors, self._errors

    def _run(self, module: ModuleType, name: str) -> None:
        try:
            module.run(Stage(name, SETTINGS, self._stopping))
        except StoppedError:
            pass
        except BaseException as error:
            self._errors.append(error)


@pytest.fixture
def threads(queue: ModuleType, stopping: threading.Event) -> Iterator[Threads]:
    made = Threads(stopping)
    yield made
    made.stop()


def wait_for(stage: Stage, fields: list[str]) -> TensorDict:
    return stage.get(stage.take(fields, 16, task="test"))


def test_weights_arrive_as_they_were_put(queue: ModuleType, stopping: threading.Event):
    torch.manual_seed(1)
    sent, got = Transformer(1), Transformer(1)
    weights.publish(Stage("trainer", SETTINGS, stopping), sent, version=0)
    weights.receive(Stage("rollout-0", SETTINGS, stopping), got)
    for name, parameter in sent.state_dict().items():
        assert torch.equal(parameter, got.state_dict()[name]), name
    weights.withdraw(0)
    assert queue.kv_list(WEIGHTS) == {WEIGHTS: {}}


def test_a_stage_that_waits_for_rows_ends_when_told(queue: ModuleType, stopping: threading.Event):
    stage = Stage("reward", SETTINGS, stopping)
    threading.Timer(0.2, stopping.set).start()
    with pytest.raises(StoppedError):
        stage.take(["prompts"], 1)


def test_rollouts_rewards_and_reference_fill_their_columns(
    queue: ModuleType, threads: Threads, stopping: threading.Event
):
    torch.manual_seed(2)
    model, stage = Transformer(1), Stage("trainer", SETTINGS, stopping)
    for module, name in ((rollout, "rollout-0"), (rollout, "rollout-1"), (reward, "reward"), (reference, "reference")):
        threads.start(module, name)
    weights.publish(stage, model, version=0)
    stage.put_new(KEYS, SAMPLES, prompts=column_of(QUESTIONS), question=torch.arange(4).repeat_interleave(4))
    batch = wait_for(stage, ["prompts", "question", "responses", "rollout_log_probs", "rewards", "ref_log_probs"])

    asked, said = row_lists(batch["prompts"]), row_lists(batch["responses"])
    assert sorted(asked) == sorted(QUESTIONS)
    assert batch["rewards"].tolist() == [float(is_right(*pair)) for pair in zip(asked, said, strict=True)]
    answers = pad_right(batch["responses"], model.answer_width)
    wanted = token_log_probs(model, pad_left(batch["prompts"], model.question_width), answers)
    for column in ("rollout_log_probs", "ref_log_probs"):  # the rollouts have the first weights too
        torch.testing.assert_close(pad_right(batch[column], model.answer_width, 0.0), wanted, atol=1e-4, rtol=1e-4)
        assert torch.equal(batch[column].offsets(), batch["responses"].offsets())
    assert PAD not in batch["responses"].values()
    assert {name: tag["done"] for name, tag in queue.kv_list(PROGRESS)[PROGRESS].items()} == {
        "rollout-0": 8,
        "rollout-1": 8,
        "reward": 16,
        "reference": 16,
    }


def fill(stage: Stage, model: Transformer, rewards: list[float]) -> None:
    """Put what the other stages would have put, with `rewards`."""
    answers = column_of([[row % 10, 12] for row in range(16)])
    log_probs = torch.nested.nested_tensor_from_jagged(torch.full((32,), -2.0), answers.offsets())
    stage.put_new(
        KEYS,
        SAMPLES,
        prompts=column_of(QUESTIONS),
        question=torch.arange(4).repeat_interleave(4),
        responses=answers,
        rollout_log_probs=log_probs,
        ref_log_probs=log_probs,
        rewards=torch.tensor(rewards),
    )


def test_every_tensor_of_the_loss_comes_from_a_get(
    queue: ModuleType, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
):
    got: list[TensorDict] = []
    used: list[Any] = []
    real_get, real_loss = Stage.get, grpo.loss

    def get(stage: Stage, rows: Any) -> TensorDict:
        got.append(real_get(stage, rows))
        return got[-1]

    def loss(model: Transformer, batch: TensorDict, settings: Settings) -> Any:
        used.append(batch)
        assert set(batch.keys()) == set(grpo.LOSS_COLUMNS)
        return real_loss(model, batch, settings)

    monkeypatch.setattr(Stage, "get", get)
    monkeypatch.setattr(grpo, "loss", loss)
    trainer = Trainer(Stage("trainer", SETTINGS, stopping))
    fill(trainer.stage, trainer.model, [1.0, 0.0] * 8)
    trainer.add_advantages()
    trainer.update()
    assert len(used) == SETTINGS.minibatches
    assert sum(len(batch) for batch in used) == 16
    assert all(any(batch is fetched for fetched in got) for batch in used)


def test_the_update_follows_what_is_in_the_queue_and_nothing_else(queue: ModuleType, stopping: threading.Event):
    """Advantages are overwritten with 0 behind the trainer's back: then nothing is learned."""
    settings = replace(SETTINGS, kl_weight=0.0)
    trainer = Trainer(Stage("trainer", settings, stopping))
    fill(trainer.stage, trainer.model, [1.0, 0.0] * 8)
    trainer.add_advantages()
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    zeros = TensorDict({"advantages": torch.zeros(16)}, batch_size=16)
    queue.kv_batch_put(keys=KEYS, partition_id=SAMPLES, fields=zeros)
    trainer.update()
    assert all(torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def test_shuffled_advantages_are_the_same_values_of_other_rows(queue: ModuleType, stopping: threading.Event):
    trainer = Trainer(Stage("trainer", replace(SETTINGS, shuffle_advantages=True), stopping))
    rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0] * 2
    fill(trainer.stage, trainer.model, rewards)
    trainer.add_advantages()
    got = queue.kv_batch_get(keys=KEYS, partition_id=SAMPLES, select_fields=["advantages"])["advantages"]
    wanted = grpo.group_advantages(torch.tensor(rewards), torch.arange(4).repeat_interleave(4))
    assert got.sort().values.tolist() == wanted.sort().values.tolist()
    assert got.tolist() != wanted.tolist()


def test_a_step_leaves_no_rows_behind(queue: ModuleType, threads: Threads, stopping: threading.Event):
    for module, name in ((rollout, "rollout-0"), (rollout, "rollout-1"), (reward, "reward"), (reference, "reference")):
        threads.start(module, name)
    trainer = Trainer(Stage("trainer", SETTINGS, stopping))
    trainer.learn()
    listing = queue.kv_list()
    assert listing[SAMPLES] == listing[WEIGHTS] == {}
    assert [tag["step"] for tag in listing[CURVE].values()] == [0, 1, 2]
    assert listing[PROGRESS]["trainer"]["done"] == 32
