"""The processes of the sidecar: keeper, core, gateway. Nothing here imports torch, tensordict, omegaconf or ray."""
