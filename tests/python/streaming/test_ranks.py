"""Ranks in processes of their own: each share of a step is the same for all processes of its rank."""

from __future__ import annotations

import json
import os
from pathlib import Path

from queue_fixtures import running_queue

from support.sidecars import ROOT, Program
from support.streams import put

RANK = """
import json, warnings
warnings.simplefilter("ignore")
import transferqueue as tq
from support.streams import make, numbers_of

tq.init()
rank = {}
seen = []
dataset = make("step0", batch_size=4, micro_batch_size=3, dp_rank=rank)
loader = tq.StreamingDataLoader(dataset)
for step in range(2):
    loader.step(f"step{{step}}")
    seen.append(numbers_of(loader))
print(json.dumps(seen))
"""


def test_two_ranks_share_two_steps_and_siblings_of_a_rank_see_the_same():
    conf = {"sampler": "SeqlenBalancedSampler", "sampler_arguments": {"n_samples_per_prompt": 2, "dp_size": 2}}
    with running_queue({"controller": conf}):
        path = os.pathsep.join([str(ROOT / "python"), str(Path(__file__).parents[1])])
        ranks = [Program(RANK.format(rank), {**os.environ, "PYTHONPATH": path}, forked=True) for rank in (0, 0, 1)]
        try:
            for step in range(2):
                numbers = range(100 * step, 100 * step + 16)
                put(f"step{step}", numbers, [{"total_lengths": 1 + n % 8} for n in numbers])
            seen = [json.loads(rank.hear()) for rank in ranks]
        finally:
            for rank in ranks:
                rank.close()
    assert seen[0] == seen[1]
    for step in range(2):
        shares = [[n for batch in seen[at][step] for n in batch] for at in (0, 2)]
        assert [len(share) for share in shares] == [8, 8]
        assert sorted(shares[0] + shares[1]) == list(range(100 * step, 100 * step + 16))
        assert [len(batch) for batch in seen[0][step]] == [3, 1, 3, 1]
