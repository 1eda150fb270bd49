"""Network pickles of NVlabs/edm, whose modules carry their own source code: read as data, the code never compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.readers.opened import on_one_line, opened
from purecert.train.readers.pickles.edm_stand_ins import EdmStandIns, HeldTensor, InertModule
from purecert.train.readers.pickles.inert import load_inert

_PICKLE_HEAD = b"\x80"  # of every binary pickle
_MAX_DEPTH = 32  # of modules in modules; the published networks have 5
_MAX_MODULES = 4096  # the published networks have some 600
_MAX_PART, _MAX_NAME = 1024, 256  # entries of one module's parameters, buffers or modules, and letters of a name
_MAX_ARGUMENTS = 10_000  # values in what a module was constructed with


@dataclass(frozen=True, kw_only=True, slots=True)
class EdmArguments:
    """What one module was constructed with."""

    class_name: str
    positional: tuple[Any, ...]
    keyword: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EdmNetwork:
    """The averaged network of a file."""

    tensors: dict[str, Tensor]  # parameters and buffers by their key, such as model.enc.32x32_conv.weight
    arguments: dict[str, EdmArguments]  # of the wrapper under "", of the network in it under "model", where recorded


def read_edm(path: Path) -> EdmNetwork:
    """Return the network under ``ema``, tensors on the CPU.

    Raises:
        InputError: The file cannot be read, is no such pickle, is damaged, or names anything beyond modules, tensors
            and plain values.
    """
    with opened(path) as file:
        if file.read(1) != _PICKLE_HEAD:
            raise InputError(f"{path}: not a network pickle; expected a .pkl file of NVlabs/edm")
        size = file.seek(0, 2)
        file.seek(0)
        content = load_inert(file, path, EdmStandIns(path, size).names())
    if not isinstance(content, dict) or not isinstance(content.get("ema"), InertModule):
        raise InputError(f"{path}: not a network pickle of NVlabs/edm; it holds no module under 'ema'")
    wrapper = content["ema"]
    modules = _submodules(wrapper, path)
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors |= {f"{prefix}{name}": value for name, value in _own_tensors(module, path).items()}
    recorded = {"": wrapper, "model": modules.get("model.")}
    arguments = {key: _arguments(module, path) for key, module in recorded.items() if _is_recorded(module)}
    return EdmNetwork(tensors=tensors, arguments=arguments)


def _submodules(root: InertModule, path: Path) -> dict[str, InertModule]:
    """Return every module by the prefix of its keys, in the order of a state_dict."""
    found: dict[str, InertModule] = {}
    seen: set[int] = set()
    waiting = [("", root)]
    while waiting:
        prefix, module = waiting.pop()
        if id(module) in seen or prefix.count(".") > _MAX_DEPTH:  # a loop, or one that doubles with every level
            raise InputError(f"{path}: module {on_one_line(prefix)} is part of the network twice, or nested too deep")
        if len(seen) == _MAX_MODULES:
            raise InputError(f"{path}: holds more than {_MAX_MODULES} modules, so it is not loaded")
        seen.add(id(module))
        found[prefix] = module
        children = _part(module, "_modules", path)
        if unknown := [name for name, child in children.items() if not isinstance(child, InertModule | None)]:
            raise InputError(f"{path}: {on_one_line(prefix + unknown[0])} is no module")
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(children.items()) if child is not None]
    return found


def _own_tensors(module: InertModule, path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers that a state_dict holds of one module itself."""
    passing = module.state.get("_non_persistent_buffers_set", set())
    if not isinstance(passing, set):
        raise InputError(f"{path}: damaged; a {on_one_line(module.class_name)} lists no buffers that pass")
    buffers = {name: held for name, held in _part(module, "_buffers", path).items() if name not in passing}
    own = {name: held for name, held in (_part(module, "_parameters", path) | buffers).items() if held is not None}
    if unknown := [name for name, held in own.items() if type(held) is not HeldTensor]:
        raise InputError(f"{path}: {on_one_line(unknown[0])} of a {on_one_line(module.class_name)} is no tensor")
    return {name: held.value for name, held in own.items()}


def _part(module: InertModule, name: str, path: Path) -> dict[str, Any]:
    part = module.state.get(name)
    if not isinstance(part, dict) or not all(isinstance(key, str) for key in part):
        raise InputError(f"{path}: damaged; a {on_one_line(module.class_name)} has no {name}")
    # Modules of a file may share one part or one name, and each of them repeats it.
    if len(part) > _MAX_PART or max(map(len, part), default=0) > _MAX_NAME:
        raise InputError(f"{path}: {name} of a {on_one_line(module.class_name)} is larger than any network's")
    return dict(part)


def _is_recorded(module: InertModule | None) -> bool:
    return module is not None and isinstance(module.state.get("_init_kwargs"), dict)


def _arguments(module: InertModule | None, path: Path) -> EdmArguments:
    assert module is not None  # only recorded ones come here
    positional, keyword = module.state.get("_init_args", ()), module.state["_init_kwargs"]
    if not isinstance(positional, tuple) or not _is_plain([positional, keyword]):
        raise InputError(f"{path}: the arguments of {on_one_line(module.class_name)} are more than plain values")
    return EdmArguments(class_name=module.class_name, positional=positional, keyword=dict(keyword))


def _is_plain(value: object) -> bool:
    """Whether this is a small nest of dicts, lists and plain values; one that doubles downwards is not small."""
    waiting, counted = [value], 1
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            held = list(value.values())  # a key is a text or a number
        elif type(value) in (list, tuple):
            held = list(cast(list[object], value))
        elif isinstance(value, str | int | float | None):
            continue
        else:
            return False
        counted += len(held)
        if counted > _MAX_ARGUMENTS:
            return False
        waiting += held
    return True
