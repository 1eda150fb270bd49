"""The exported program compiled ahead of time for one device and one batch size, kept in the plan's cache.

Compiling measures kernels against each other and keeps the fastest, so two compilations of one program may differ in
their last bits. A run is tied to one compiled file by its digest, and a resumed run loads that same file.
"""

import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.failures import batch_failure
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.torch.cpp_compiler import error_named_in, find_compiler
from purecert.engine.backends.torch.precision import forbid_rounding
from purecert.engine.backends.torch.program import CompiledProgram, TorchProgram
from purecert.engine.backends.torch.queue import CudaQueue, HostQueue, TorchQueue
from purecert.engine.backends.torch.state import refuse_state
from purecert.engine.errors import BackendError, CheckError, InputError, Problem
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.compiled_files import compiled_file, read_build_time, sole_maker, write_build_time
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.trust import read_trusted, write_trusted

_log = logging.getLogger("purecert")
_SCHEMA = "purecert.compiled/1"

# The options of the compiler. Matrix products are tried in several implementations; convolutions are left to cuDNN,
# whose channels-last kernels are the fastest there are in half precision, and whose trial would take minutes.
OPTIONS: dict[str, dict[str, Any]] = {
    "cuda": {
        "max_autotune": True,
        "max_autotune_gemm_backends": "ATEN,TRITON",
        "max_autotune_conv_backends": "ATEN",
        "force_layout_optimization": True,
        "autotune_num_choices_displayed": 0,
        "aot_inductor.weight_use_caching_allocator": True,  # so that the peak of its memory counts the weights
    },
    "cpu": {},
}
_TRIAL_SECONDS = 60  # the longest that the C++ compiler is tried before the minutes that a program takes
_MAX_ELEMENTS = 2**31 - 1  # of a batch: kernels count them in 32 bits


def open_torch_device(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's program of ``sigma``, compiled for the GPU (torch-cuda) or for the host (torch-compiled).

    Raises:
        InputError: The program is absent or not this machine's.
        BackendError: There is no such device, or the program cannot run there.
        CheckError: The program keeps something from batch to batch.
        OutOfMemoryError: The batch is too large for the device.
    """
    queue = CudaQueue() if options.name == "torch-cuda" else HostQueue(options.threads)

    def load() -> TorchProgram:
        compiled = open_program(plan, sigma, options.batch, queue, trust=options.trust)
        return TorchProgram(compiled, plan.record.precision)

    return open_device(plan, noise, queue, load)


def open_program(plan: Plan, sigma: float, batch: int, queue: TorchQueue, *, trust: bool) -> CompiledProgram:
    """Return the program of ``sigma``, compiled now unless this machine has done it before.

    Args:
        plan: The plan; the compiled file goes into its cache, with this machine's tag.
        sigma: The noise std of the graph.
        batch: Rows of a call.
        queue: Where it will run.
        trust: Load cached files that this machine did not make; they can run any code.

    Raises:
        InputError: The program is absent or not this machine's.
        BackendError: PyTorch cannot load or compile it.
    """
    plan.check_program()
    _check_batch(plan, batch)
    forbid_rounding()
    with queue.entered():
        inputs = _inputs(plan, batch, queue.device)
        path, origin = compiled_file(plan, sigma, queue.device.type, ".pt2", _SCHEMA, _made_from(inputs, queue))
        if not path.is_file():
            with sole_maker(path):
                if not path.is_file():  # not made by another process meanwhile
                    content = read_trusted(plan.cached_program(sigma), plan.graph(sigma).sha256, trust=trust)
                    _compile_into(path, content, inputs, origin)
        package = read_trusted(path, origin, trust=trust)
        call = _load(package)
    queue.finish()  # weights are copied outside of the queue
    return CompiledProgram(inputs=inputs, call=call, digest=sha256_hex(package), build_seconds=read_build_time(path))


def _check_batch(plan: Plan, batch: int) -> None:
    most = _MAX_ELEMENTS // max(entry.elements for entry in plan.record.inputs)
    if batch > most:
        raise InputError(f"expected a batch of at most {most} rows of this plan, got {batch}; choose a smaller --batch")


def _made_from(inputs: tuple[Tensor, ...], queue: TorchQueue) -> dict[str, object]:
    """Return what a compiled file depends on beside the graph; it takes inputs of these strides unchecked."""
    return {
        "inputs": [[str(rows.dtype), list(rows.shape), list(rows.stride())] for rows in inputs],
        "hardware": queue.hardware(),
        "versions": queue.versions(),
        "options": OPTIONS[queue.device.type] | queue.compiled_for(),
    }


def _inputs(plan: Plan, batch: int, device: torch.device) -> tuple[Tensor, ...]:
    """Return zeroed inputs; images are channels-last, as the fastest convolutions read them."""
    inputs = []
    for entry in plan.record.inputs:
        rows = torch.zeros((batch, *entry.shape), dtype=getattr(torch, entry.dtype), device=device)
        inputs.append(rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows)
    return tuple(inputs)


def _compile_into(path: Path, content: bytes, inputs: tuple[Tensor, ...], origin: str) -> None:
    """Compile a program for where its ``inputs`` lie; keep the result at ``path``, and how long that took beside it."""
    compiler = find_compiler(_TRIAL_SECONDS)
    if isinstance(compiler, Problem):
        raise BackendError(f"PyTorch cannot compile the program: {compiler.reason}; {compiler.remedy}")
    device, batch = inputs[0].device, len(inputs[0])
    where = "this GPU" if device.type == "cuda" else "this processor"
    _log.warning("compiling %s in batches of %d for %s; it takes a while and is done once", path.stem, batch, where)
    began = time.perf_counter()
    compiled = _compile(content, inputs, device)
    write_build_time(path, time.perf_counter() - began)
    write_trusted(path, compiled, origin)


def _compile(content: bytes, inputs: tuple[Tensor, ...], device: torch.device) -> bytes:
    """Return the compiled file of an exported program, whose bytes were checked."""
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.utils import fresh_cache

    try:
        # The compiler's usual cache lies in a shared folder for temporary files and would be run unchecked.
        with fresh_cache(), _quiet():
            exported = torch.export.load(io.BytesIO(content))
            refuse_state(exported)
            program = _at_fixed_batch(exported, inputs, device)
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "program.pt2"
                aoti_compile_and_package(program, package_path=str(target), inductor_configs=OPTIONS[device.type])
                return target.read_bytes()
    except torch.OutOfMemoryError as error:
        raise batch_failure("PyTorch", error) from error
    except CheckError:
        raise
    except Exception as error:  # the compiler's errors share no base class
        raise BackendError(f"PyTorch {torch.__version__} cannot compile the program: {_cause(error)}") from error


def _at_fixed_batch(program: ExportedProgram, inputs: tuple[Tensor, ...], device: torch.device) -> ExportedProgram:
    """Return the program on ``device``, with weights laid out channels-last and the batch a constant."""
    module = move_to_device_pass(program, str(device)).module()
    for weight in (*module.parameters(), *module.buffers()):
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return torch.export.export(module, inputs)


def _load(package: bytes) -> Callable[..., Any]:
    """Return what calls a compiled file, whose bytes were checked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.pt2"
        path.write_bytes(package)
        try:
            # PyTorch's own wrapper of this loader first compiles probes of the processor into a shared folder, runs
            # what lies there unchecked, and takes ten seconds. Single-threaded: the loader's locks would wait on
            # events, which the capture of a CUDA graph forbids.
            loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", True, 1, -1)
        except Exception as error:  # loading may raise anything that the file's content provokes
            raise BackendError(
                f"PyTorch {torch.__version__} cannot load the compiled program: {_first_line(error)}"
            ) from error
    return lambda *inputs: loader.run(list(inputs))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyTorch's compiler warns of its own making; what goes wrong is an error.

    It also writes what it measured to stderr, and logs every kernel that does not fit the GPU as an error.
    """
    trials = logging.getLogger("torch._inductor.select_algorithm")
    level = trials.level
    trials.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        trials.setLevel(level)


def _cause(error: Exception) -> str:
    named = error_named_in(str(error))
    return f"{_first_line(error)}: {named}" if named else _first_line(error)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"
