"""What the names in a network pickle of NVlabs/edm stand for: inert objects that hold what the pickle says of them."""

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.readers.archives import load_plain
from purecert.train.readers.opened import on_one_line
from purecert.train.readers.pickles.inert import Call, Copies, InertDict
from purecert.train.readers.pickles.torch_claims import LEGACY_HEAD, check_extent, check_legacy

_VERSION = 6  # of the persistence format
_MAX_STORAGES = 4096  # the published networks have 541 at most; each takes a quarter of a millisecond
_SCALARS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}


class InertModule:
    """Stands for a module: the name of its class, and its attributes."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: Mapping[str, Any]) -> None:
        self.class_name = class_name
        self.state = state

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a module's state is part of its description")


class InertContainer(InertModule):
    """Stands for torch's own ModuleDict, whose state comes after it."""

    __slots__ = ()

    def __new__(cls) -> "InertContainer":  # a pickle makes objects without __init__
        container = super().__new__(cls)
        container.class_name, container.state = "ModuleDict", {}
        return container

    def __init__(self) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a container's state is no mapping")
        self.state = state


class _Dtype:
    """Stands for a dtype of numpy."""

    __slots__ = ("name", "order")

    def __init__(self, name: Any, *flags: Any) -> None:
        self.name, self.order = name, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if isinstance(state, tuple) and ">" in state[:2] else "<"


class _Storage(NamedTuple):  # a tuple, since a pickle cannot change one, and a tensor it can
    flat: Tensor


class HeldTensor(NamedTuple):
    value: Tensor


@dataclass(slots=True, eq=False)
class EdmStandIns:
    """What the names in one file stand for; made anew for each, so that no file can change another's."""

    path: Path
    budget: int  # bytes of storages that may still be loaded: no more than the file is long
    storages: int = 0  # loaded so far
    copies: Copies = field(default_factory=Copies)

    def names(self) -> dict[str, Any]:
        """Return everything that such a pickle may name."""
        return {
            "torch_utils.persistence._reconstruct_persistent_obj": Call(self._module),
            "dnnlib.util.EasyDict": InertDict,
            "torch.nn.modules.container.ModuleDict": InertContainer,
            "collections.OrderedDict": InertDict,
            "builtins.set": Call(self.copies.set),
            "builtins.dict": InertDict,
            "builtins.object": object,
            "copyreg._reconstructor": Call(self._plain_object),
            "torch._utils._rebuild_tensor_v2": Call(self._tensor),
            "torch._utils._rebuild_parameter": Call(lambda tensor, requires_grad, hooks: tensor),
            "torch.storage._load_from_bytes": Call(self._storage),
            "numpy.core.multiarray.scalar": Call(self._number),
            "numpy._core.multiarray.scalar": Call(self._number),
            "numpy.dtype": _Dtype,
        }

    def _module(self, description: Any) -> InertModule:
        if not isinstance(description, dict) or description.get("type") != "class":
            raise InputError(f"{self.path}: damaged; a module is not described as a class")
        if description.get("version") != _VERSION:
            found = on_one_line(description.get("version"))
            raise InputError(f"{self.path}: expected version {_VERSION} of the persistence format, found {found}")
        name, state = description.get("class_name"), description.get("state")
        if not isinstance(name, str) or not isinstance(state, dict):
            raise InputError(f"{self.path}: damaged; a module has no class name or no state")
        return InertModule(name, state)

    def _plain_object(self, kind: Any, base: Any, state: Any) -> Any:
        if kind is InertDict and isinstance(state, dict | None):
            self.copies.charge(state or {})
            return dict(state or {})
        if kind is InertContainer and state is None:
            return InertContainer()
        name = getattr(kind, "__name__", "an unknown class")
        raise InputError(f"{self.path}: holds an object of {name}, which is no module and no plain value")

    def _storage(self, content: Any) -> _Storage:
        if not isinstance(content, bytes) or not content.startswith(LEGACY_HEAD):
            raise InputError(f"{self.path}: damaged; a storage is not written as torch.save does")
        self.budget -= len(content)
        self.storages += 1
        if self.budget < 0 or self.storages > _MAX_STORAGES:
            raise InputError(f"{self.path}: holds more storages than a network has, so it is not loaded")
        check_legacy(BytesIO(content), self.path)
        storage = load_plain(BytesIO(content), self.path)
        if not isinstance(storage, torch.TypedStorage):
            raise InputError(f"{self.path}: damaged; expected a storage, found {type(storage).__name__}")
        return _Storage(torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage))

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *others: Any) -> HeldTensor:
        if type(storage) is not _Storage:
            raise InputError(f"{self.path}: damaged; a tensor has no storage")
        check_extent(offset, size, stride, storage.flat.numel(), self.path)
        return HeldTensor(storage.flat.as_strided(size, stride, offset))

    def _number(self, dtype: Any, content: Any) -> Any:
        letter = _SCALARS.get(dtype.name) if isinstance(dtype, _Dtype) and isinstance(dtype.name, str) else None
        if letter is None or not isinstance(content, bytes) or len(content) != struct.calcsize(f"<{letter}"):
            raise InputError(f"{self.path}: holds a numpy scalar of another kind than numbers and truth values")
        return struct.unpack(f"{dtype.order}{letter}", content)[0]
