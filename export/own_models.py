"""A classifier of the user's own from a file: a module that a Python file makes, or an exported program."""

import runpy
import sys
import traceback
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import Precision

PYTHON, _PROGRAM, _ONNX = "python:", ".pt2", ".onnx"


def is_own(name: str) -> bool:
    """Return whether ``name`` is a classifier of the user's own: of a Python file, a program, or an ONNX file."""
    return name.startswith(PYTHON) or name.endswith((_PROGRAM, _ONNX))


def is_onnx(name: str) -> bool:
    """Return whether ``name`` is an ONNX file, which becomes no module (``from_onnx``)."""
    return name.endswith(_ONNX)


def own_module(name: str, *, trusts: bool, precision: Precision = "fp32") -> nn.Module:
    """Return the module that ``name`` says: ``python:FILE.py:NAME``, or a program that torch.export.save wrote.

    Args:
        name: A Python file is run; NAME is a module, or a function without arguments that returns one.
        trusts: Whether a program, which is code, may be loaded.
        precision: What is exported; a program computes in its own, FP32.

    Raises:
        InputError: There is no such file or name, it fails, it is no module, or a program has a fixed batch or is not
            trusted.
    """
    if name.startswith(PYTHON):
        return _from_python(name)
    if precision not in ("fp32", "int8"):
        raise InputError(f"{name}: the layers of a program cannot be told apart for {precision}; add --precision fp32")
    return _from_program(Path(name), trusts=trusts)


def source_of(name: str) -> str:
    """Return ``name`` without folders, as plan.json records it."""
    if not name.startswith(PYTHON):
        return Path(name).name
    file, _, attribute = name.removeprefix(PYTHON).rpartition(":")
    return f"{PYTHON}{Path(file).name}:{attribute}"


def _from_python(name: str) -> nn.Module:
    file, _, attribute = name.removeprefix(PYTHON).rpartition(":")
    if not file or not attribute.isidentifier():
        raise InputError(f"expected python:FILE.py:NAME, got {name!r}")
    if not Path(file).is_file():
        raise InputError(f"{file}: expected a Python file, found none; is the path right?")
    sys.path.insert(0, str(Path(file).resolve().parent))  # as Python does, so that the file finds its neighbours
    try:
        names = runpy.run_path(file)
        made = names.get(attribute)
        if callable(made) and not isinstance(made, nn.Module):
            made = made()
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # whatever the user's own code raises; sys.exit() would end as if all were done
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{_place(error, file)}: {reason}") from error
    if not isinstance(made, nn.Module):
        came = "nothing" if attribute not in names else type(made).__name__
        raise InputError(f"{file}: expected {attribute} to be a torch.nn.Module, or to return one, found {came}")
    return made


def _place(error: BaseException, file: str) -> str:
    """Return where in ``file`` its code failed: the last line of its own that was under way."""
    frames = (frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file)
    lines = [frame.lineno for frame in frames] + ([error.lineno] if isinstance(error, SyntaxError) else [])
    return f"{file}:{lines[-1]}" if lines else file


def _from_program(path: Path, *, trusts: bool) -> nn.Module:
    if not path.is_file():
        raise InputError(f"{path}: expected a program that torch.export.save wrote, found none; is the path right?")
    if not trusts:
        raise InputError(
            f"{path}: a .pt2 program is code, which is run when it is loaded; if you trust it, add --trust"
        )
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises whatever its parts do
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: expected a program that torch.export.save wrote, found: {reason}") from error
    _check_batch(program, path)
    return Program(program)


def _check_batch(program: ExportedProgram, path: Path) -> None:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [values[name] for name in program.graph_signature.user_inputs if isinstance(name, str)]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        raise InputError(f"{path}: expected a program of one input, a batch of images, found {len(inputs)}")
    if isinstance(inputs[0].shape[0], int):
        raise InputError(
            f"{path}: expected a program for any batch, found one for {inputs[0].shape[0]} images; export it with "
            "torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim('batch')},))"
        )


@final
class Program(nn.Module):
    """An exported program as a module; how it was when it was exported, in training or not, it stays."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program: nn.Module = program.module()

    def train(self, mode: bool = True) -> "Program":
        """Change nothing: a program's mode was fixed when it was made."""
        return self

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.program(x)
        return logits
