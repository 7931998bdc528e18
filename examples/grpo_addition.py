"""GRPO in five processes and one queue: a small transformer learns to add.

The same loop as ``transferqueue demo`` without its view, its warm start's details and its supervision; model, task and
loss are those of the demo, every call of the queue is here. Run it: ``python examples/grpo_addition.py``, about a minute.
"""

import multiprocessing
import random

import torch
from tensordict import TensorDict

import transferqueue as tq
from transferqueue.demo.arithmetic import PAD, is_right, question, split_pairs
from transferqueue.demo.exam import Exam
from transferqueue.demo.grpo import LOSS_COLUMNS, group_advantages, loss
from transferqueue.demo.jagged import column_of, from_mask, pad_left, pad_right, row_lists
from transferqueue.demo.model import Transformer, generate, token_log_probs
from transferqueue.demo.settings import Settings
from transferqueue.demo.warm_start import warm_start

SETTINGS = Settings(digits=1, steps=80)
QUESTIONS, GROUP = SETTINGS.questions_per_step, SETTINGS.group_size
ROWS = QUESTIONS * GROUP
WORKERS = 2


# --- What every process does with the queue: wait for rows, get their columns, put new columns for them ---


def take(task, rows, fields, partition="train"):
    """Wait until `rows` rows have all `fields`; each task gets each row once."""
    client = tq.get_client()
    meta = client.get_meta(data_fields=fields, batch_size=rows, partition_id=partition, task_name=task, timeout_s=120)
    return meta, client.get_data(meta)


def put(meta, **columns):
    """Add columns to rows that are in the queue."""
    tq.get_client().put(TensorDict(columns, batch_size=meta.size), metadata=meta)


def load_weights(task, model):
    """Wait for weights that `task` has not had yet."""
    _, row = take(task, 1, ["weights"], "weights")
    torch.nn.utils.vector_to_parameters(row["weights"].values().clone(), model.parameters())


# --- The stages: each is a process of its own ---


def rollout(number):
    """Answer questions with the newest weights."""
    model, draw = Transformer(SETTINGS.digits), torch.Generator().manual_seed(number)
    while True:
        load_weights(f"rollout-{number}", model)
        meta, batch = take("rollout", ROWS // WORKERS, ["prompts"])
        answers, log_probs = generate(model, pad_left(batch["prompts"], model.question_width), draw)
        said = answers != PAD
        put(meta, responses=from_mask(answers, said), rollout_log_probs=from_mask(log_probs, said))


def reward():
    """1 for the right sum, else 0."""
    while True:
        meta, batch = take("reward", ROWS // WORKERS, ["prompts", "responses"])
        pairs = zip(row_lists(batch["prompts"]), row_lists(batch["responses"]), strict=True)
        put(meta, rewards=torch.tensor([float(is_right(asked, said)) for asked, said in pairs]))


@torch.no_grad()
def reference():
    """Log-probs of the answers under the first weights."""
    model = Transformer(SETTINGS.digits)
    load_weights("reference", model)
    while True:
        meta, batch = take("reference", ROWS // WORKERS, ["prompts", "responses"])
        answers = pad_right(batch["responses"], model.answer_width)
        log_probs = token_log_probs(model, pad_left(batch["prompts"], model.question_width), answers)
        put(meta, ref_log_probs=from_mask(log_probs, answers != PAD))


def train():
    """Ask, wait for the other stages, learn."""
    torch.manual_seed(SETTINGS.seed)
    model = Transformer(SETTINGS.digits)
    pairs, held_out = split_pairs(SETTINGS.digits, SETTINGS.seed)
    exam = Exam(held_out, model)
    for _ in warm_start(model, Exam(pairs, model), exam, SETTINGS.warm_start_accuracy, SETTINGS.seed):
        pass
    print(f"after the supervised warm start: {exam.accuracy_of(model):.0%}", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=SETTINGS.learning_rate, weight_decay=0.0)
    for step in range(SETTINGS.steps):
        weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        tq.kv_put(key=f"{step}", partition_id="weights", fields={"weights": weights}, tag={"version": step})
        keys = ask(pairs, step)

        meta, batch = take("advantages", ROWS, ["rewards", "question"])
        put(meta, advantages=group_advantages(batch["rewards"], batch["question"]))

        meta, _ = take("update", ROWS, LOSS_COLUMNS)
        for part in meta.chunk(chunks=SETTINGS.minibatches):
            objective, _ = loss(model, tq.get_client().get_data(part), SETTINGS)
            optimizer.zero_grad()
            objective.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        tq.kv_clear(keys=keys, partition_id="train")
        tq.kv_clear(keys=[f"{step}"], partition_id="weights")
        if step % 20 == 19:
            print(f"after step {step + 1} of GRPO: {exam.accuracy_of(model):.0%}", flush=True)


def ask(pairs, step):
    """Put the questions of a step, each `GROUP` times; their keys."""
    asked = [question(pair) for pair in random.choices(pairs, k=QUESTIONS) for _ in range(GROUP)]
    keys = [f"{step}_{row // GROUP}_{row % GROUP}" for row in range(ROWS)]
    columns = {"prompts": column_of(asked), "question": torch.arange(QUESTIONS).repeat_interleave(GROUP)}
    tq.kv_batch_put(keys=keys, partition_id="train", fields=TensorDict(columns, batch_size=ROWS))
    return keys


def be(stage, *arguments):
    """Run one stage in a process of its own."""
    torch.set_num_threads(1)
    tq.init()  # attaches: the parent's `init` has left the address in the environment
    stage(*arguments)


if __name__ == "__main__":
    tq.init()
    spawn = multiprocessing.get_context("spawn")
    stages = [(rollout, number) for number in range(WORKERS)] + [(reward,), (reference,)]
    processes = [spawn.Process(target=be, args=stage, daemon=True) for stage in stages]
    for process in processes:
        process.start()
    try:
        torch.set_num_threads(1)
        train()
    finally:
        for process in processes:
            process.terminate()
            process.join()
        tq.close()
