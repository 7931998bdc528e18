"""The demo: a small transformer learns to add numbers by GRPO, in processes that talk through the queue only.

What to read, in this order:

* `arithmetic`: the task, questions and answers as text;
* `model`: the transformer, sampling from it, log-probs under it;
* `grpo`: group advantages and the clipped loss;
* `rollout`, `reward`, `reference`, `trainer`: one process each, all of the same shape: take rows from the queue, add a
  column to them;
* `stage`: the few calls of the queue that they all make;
* `crew`, `view`, `curve`, `run`: the parent, which starts them, watches and reports.
"""
