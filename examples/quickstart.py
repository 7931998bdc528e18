import torch
from tensordict import NonTensorStack, TensorDict

import transferqueue as tq

tq.init()  # starts the job's sidecar, or attaches to it

rollouts = TensorDict(
    {"prompt": NonTensorStack("1+1=", "2+3="), "tokens": torch.tensor([[2, 0], [5, 0]])},
    batch_size=2,
)
tq.kv_batch_put(keys=["a", "b"], partition_id="train", fields=rollouts, tags=[{"status": "done"}] * 2)
tq.kv_batch_put(
    keys=["a", "b"], partition_id="train", fields=TensorDict({"reward": torch.tensor([1.0, 1.0])}, batch_size=2)
)

client = tq.get_client()
batch = client.get_meta(["tokens", "reward"], batch_size=2, partition_id="train", task_name="update")
data = client.get_data(batch)
print(data["tokens"].values().tolist(), data["reward"].tolist())

tq.kv_clear(keys=["a", "b"], partition_id="train")
tq.close()
