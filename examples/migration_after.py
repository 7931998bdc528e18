"""The code of ``migration_before.py`` with columnar metadata: one vector per property instead of an object per sample.

No property is read by a walk over rows and fields any more, and no wrapper is needed.
"""

import torch
from tensordict import TensorDict

import transferqueue as tq

LIMIT = 3


def drop_long_responses(meta):
    """Keep the samples whose response is not longer than LIMIT tokens."""
    keep = [i for i, shape in enumerate(meta.get_shapes("responses")) if shape[0] <= LIMIT]
    return meta.select_samples(keep)


def describe(meta):
    """What a log line says of a batch."""
    partitions = sorted(set(meta.partition_ids))
    return f"rows {meta.size}, partitions {partitions}, ready {meta.is_ready}, responses {meta.get_dtypes('responses')}"


def main():
    """Put four rollouts, get the short ones."""
    tq.init()
    client = tq.get_client()
    responses = torch.nested.nested_tensor([torch.arange(n) for n in (2, 5, 3, 4)], layout=torch.jagged)
    client.put(TensorDict({"responses": responses}, batch_size=4), partition_id="train")

    meta = client.get_meta(["responses"], batch_size=4, partition_id="train", task_name="update")
    short = drop_long_responses(meta)
    print(describe(short))
    print([row.tolist() for row in client.get_data(short)["responses"].unbind()])

    client.clear_partition("train")
    tq.close()


if __name__ == "__main__":
    main()
