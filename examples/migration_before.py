"""Row-oriented code of the time before columns: metadata is a list of samples, each with a dict of fields.

It still runs: `LegacyBatchMeta` gives the row view back, and each place that reads ``.samples`` warns once with what to
write instead. ``migration_after.py`` is the same code after that.
"""

import torch
from tensordict import TensorDict

import transferqueue as tq
from transferqueue import LegacyBatchMeta as BatchMeta  # was: from transfer_queue import BatchMeta

LIMIT = 3


def drop_long_responses(meta):
    """Keep the samples whose response is not longer than LIMIT tokens."""
    keep = [i for i, sample in enumerate(meta.samples) if sample.fields["responses"].shape[0] <= LIMIT]
    return meta.select_samples(keep)


def describe(meta):
    """What a log line says of a batch."""
    indexes = [sample.global_index for sample in meta.samples]
    partitions = {sample.partition_id for sample in meta.samples}
    ready = all(sample.is_ready for sample in meta.samples)
    dtype = meta.samples[0].fields["responses"].dtype
    return f"rows {len(indexes)}, partitions {sorted(partitions)}, ready {ready}, responses {dtype}"


def main():
    """Put four rollouts, get the short ones."""
    tq.init()
    client = tq.get_client()
    responses = torch.nested.nested_tensor([torch.arange(n) for n in (2, 5, 3, 4)], layout=torch.jagged)
    client.put(TensorDict({"responses": responses}, batch_size=4), partition_id="train")

    meta = BatchMeta(client.get_meta(["responses"], batch_size=4, partition_id="train", task_name="update"))
    short = drop_long_responses(meta)
    print(describe(short))
    print([row.tolist() for row in client.get_data(short.columnar)["responses"].unbind()])

    client.clear_partition("train")
    tq.close()


if __name__ == "__main__":
    main()
