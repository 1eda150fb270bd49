"""ONNX Runtime's TensorRT provider, whose engines are kept in the plan's cache under this machine's tag.

The provider would read whatever lies in its cache folder, and an engine is native code. So it gets a fresh folder,
filled only from a file whose tag was checked.
"""

import io
import logging
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.device.pycuda_queue import PycudaQueue
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.onnxruntime.gpu import OrtDeviceProgram
from purecert.engine.backends.onnxruntime.loaded_libraries import is_loaded
from purecert.engine.backends.onnxruntime.session import Provider
from purecert.engine.errors import BackendError, InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.compiled_files import compiled_file, read_build_time, write_build_time
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.trust import read_trusted, write_trusted

_log = logging.getLogger("purecert")
_SCHEMA = "purecert.ort-tensorrt/1"
_TF32 = "NVIDIA_TF32_OVERRIDE"
_OPTIONS = {
    "device_id": "0",  # CUDA_VISIBLE_DEVICES says which one that is
    # Neither FP16 nor INT8 is allowed to the builder: precision is what the graph's own types say.
    "trt_fp16_enable": "0",
    "trt_int8_enable": "0",
    "trt_cuda_graph_enable": "1",
    "trt_engine_cache_enable": "1",
}


def open_onnxruntime_tensorrt(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's ONNX graph of ``sigma`` in engines for this GPU, built now unless they are in the cache.

    Raises:
        InputError: The engines in the plan's cache are not this machine's.
        BackendError: There is no GPU or no TensorRT, or a node of the graph cannot run there.
        OutOfMemoryError: The batch takes more memory than there is.
    """
    queue, batch = PycudaQueue(), options.batch

    def load() -> OrtDeviceProgram:
        _load_tensorrt()
        path, origin = _engine_file(plan, sigma, batch, queue)
        with tempfile.TemporaryDirectory() as folder:
            stored = read_trusted(path, origin, trust=options.trust) if path.is_file() else None
            if stored is not None:
                unpack_engines(stored, Path(folder))
            else:
                _log.warning("building %s in batches of %d; it takes a while and is done once", path.stem, batch)
            provider = Provider(name="TensorrtExecutionProvider", options=_options(queue, folder))
            began = time.perf_counter()
            program = OrtDeviceProgram(plan, sigma, batch, queue, "cuda", provider, None, threads=options.threads)
            found = pack_engines(Path(folder))
            if stored is None:
                stored = found
                write_build_time(path, time.perf_counter() - began)
                write_trusted(path, stored, origin)
        if found != stored:
            raise BackendError(f"ONNX Runtime built other engines than those of {path}; delete it and run again")
        program.ties_to(sha256_hex(stored), read_build_time(path))
        return program

    return open_device(plan, noise, queue, load)


def pack_engines(folder: Path) -> bytes:
    """Return the files that the provider left in ``folder`` as one archive, the same for the same files.

    Raises:
        BackendError: There are none: nothing was compiled.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if not any(path.suffix == ".engine" for path in files):
        raise BackendError(f"expected engines of ONNX Runtime's TensorRT provider, found {[p.name for p in files]}")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for path in files:
            writer.writestr(zipfile.ZipInfo(path.name), path.read_bytes())  # of a fixed date
    return archive.getvalue()


def unpack_engines(content: bytes, folder: Path) -> None:
    """Write the files of an archive, whose bytes were checked, into ``folder``.

    Raises:
        InputError: It is no archive of plain files.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as reader:
            for name in reader.namelist():
                if Path(name).name != name or name in (".", ".."):
                    raise InputError(f"expected plain names in the cached engines, found {name!r}; delete the file")
                (folder / name).write_bytes(reader.read(name))
    except (zipfile.BadZipFile, RuntimeError) as error:  # the latter: encrypted
        raise InputError(f"expected an archive of engines, found other bytes ({error}); delete the file") from error


def _load_tensorrt() -> None:
    """Load TensorRT's libraries from where pip installs them, which no loader finds by itself, with TF32 forbidden.

    Raises:
        BackendError: They cannot be loaded, or CUDA's libraries were loaded before, with TF32 allowed.
    """
    # The provider has no option for it, and TensorRT's default is to compute FP32 in TF32.
    if os.environ.get(_TF32) != "0" and any(is_loaded(name) for name in ("nvinfer", "cublas", "cudnn")):
        raise BackendError(f"CUDA's libraries are loaded already, and may compute in TF32; set {_TF32}=0 and run again")
    os.environ[_TF32] = "0"
    if find_spec("tensorrt_libs") is not None:
        try:
            import_module("tensorrt_libs")
        except (ImportError, OSError, RuntimeError) as error:
            raise BackendError(f"TensorRT is installed but cannot be loaded ({error}); install it again") from error


def _engine_file(plan: Plan, sigma: float, batch: int, queue: PycudaQueue) -> tuple[Path, str]:
    """Return where the engines lie, and a digest of everything that they are made from."""
    packages = ("onnxruntime", "tensorrt")
    # An interrupted installation leaves folders without a name.
    installed = [(d.metadata["Name"], d.version) for d in distributions() if "Name" in d.metadata]
    made_from = {
        "batch": batch,
        "hardware": queue.hardware(),
        "versions": {name: number for name, number in installed if name.lower().startswith(packages)},
        "options": _OPTIONS,
    }
    return compiled_file(plan, sigma, "ort-tensorrt", ".engines", _SCHEMA, made_from)


def _options(queue: PycudaQueue, folder: str) -> dict[str, str]:
    return _OPTIONS | {"user_compute_stream": str(queue.handle), "trt_engine_cache_path": folder}
