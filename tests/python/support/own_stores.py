"""Stores of a user's own: files of a folder, and a manager over the memory of its process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

from tensordict import TensorDict

from transferqueue.storage import (
    KVStorageManager,
    StorageBootstrapProvider,
    StorageClientFactory,
    StorageKVClient,
    StorageManager,
    StorageManagerFactory,
)


class Refused(Exception):
    """What a store raises."""


@StorageClientFactory.register("FileStore")
class FileStore(StorageKVClient):
    """A file per value. What it notes of a value is its key's length, and it insists on it."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.folder = Path(config["path"])

    def put(self, keys: list[str], values: list[Any]) -> list[Any]:
        if (self.folder / "refuse").exists():
            raise Refused(f"{len(keys)} keys refused")
        for key, value in zip(keys, values, strict=True):
            (self.folder / key).write_bytes(pickle.dumps(value))
        return [{"length": len(key)} for key in keys]

    def get(self, keys, shapes=None, dtypes=None, custom_backend_meta=None):
        self._check(keys, custom_backend_meta)
        values = [pickle.loads((self.folder / key).read_bytes()) for key in keys]
        assert [getattr(value, "shape", None) for value in values] == shapes
        assert [getattr(value, "dtype", None) for value in values] == dtypes
        return values

    def clear(self, keys, custom_backend_meta=None):
        self._check(keys, custom_backend_meta)
        if (self.folder / "refuse").exists():
            raise Refused("cleared nothing")
        for key in keys:
            (self.folder / key).unlink()

    def close(self) -> None:
        (self.folder / "closed").touch()

    def _check(self, keys, noted):
        assert [entry["length"] for entry in noted] == [len(key) for key in keys]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if "@" in path.name)


@StorageManagerFactory.register("NamedOtherwise")
class NamedOtherwise(KVStorageManager):
    """A manager that names its client in the configuration, as the peer's do."""


@StorageManagerFactory.register("WholeColumns")
class WholeColumns(StorageManager):
    """Keeps whole TensorDicts, of which it says only the fields that don't begin with an underscore."""

    kept: ClassVar[dict[tuple[int, str], Any]] = {}

    async def put_data(self, data: TensorDict, metadata) -> None:
        fields = [name for name in data.keys() if not name.startswith("_")]  # noqa: SIM118
        for name in fields:
            for index, value in zip(metadata.global_indexes, data[name].unbind(), strict=True):
                self.kept[index, name] = value
        await self.notify_data_update(metadata.partition_ids[0], metadata.global_indexes, dict.fromkeys(fields))

    async def get_data(self, metadata) -> TensorDict:
        import torch

        columns = {
            name: torch.stack([self.kept[index, name] for index in metadata.global_indexes])
            for name in metadata.field_names
        }
        return TensorDict(columns, batch_size=metadata.size)

    async def clear_data(self, metadata) -> None:
        for name in metadata.field_names:
            for index in metadata.global_indexes:
                del self.kept[index, name]


@StorageBootstrapProvider.register_provider("filestore")
class Folders(StorageBootstrapProvider):
    """Makes the store's folder if it is asked to."""

    def start(self, config: dict[str, Any]) -> dict[str, Any] | None:
        self.made = Path(config["make"]) if "make" in config else None
        if self.made is None:
            return None
        self.made.mkdir()
        return {**config, "path": str(self.made)}

    def stop(self) -> None:
        if self.made is not None:
            (self.made / "stopped").touch()
