"""A TensorRT 11 made of TensorRT-RTX's builder, with a runtime that reads back what that builder logged.

TensorRT itself needs a GPU. What is built here is an engine of TensorRT-RTX for sm_89, whatever GPU is named.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, final

import pytest

_SHARED = ("ILogger", "OnnxParser", "NetworkDefinitionCreationFlag", "BuilderFlag", "MemoryPoolType")
MEASURED = b"measured"  # what every build leaves in its timing cache


@final
class RtxAsTensorrt:
    """What the module does, and what it was given."""

    def __init__(self) -> None:
        import tensorrt_rtx_bindings

        self.rtx: Any = tensorrt_rtx_bindings
        self.reports: list[str] = []
        self.timing_caches: list[bytes] = []
        self.inspector_tells_ends = True  # as TensorRT 10 does not: its inspector gives their names only

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of ``tensorrt``."""
        module: Any = ModuleType("tensorrt")
        for name in (*_SHARED, "ProfilingVerbosity", "LayerInformationFormat"):
            setattr(module, name, getattr(self.rtx, name))
        module.__version__ = "11.4.0.106"
        module.Builder = lambda logger: _Builder(self)
        module.Runtime = lambda logger: _Runtime(self)
        monkeypatch.setitem(sys.modules, "tensorrt", module)

    def logger(self) -> Any:
        """Return a logger that keeps the layer reports."""
        base, reports = self.rtx.ILogger, self.reports

        class Logger(base):  # type: ignore[misc]
            def __init__(self) -> None:
                base.__init__(self)

            def log(self, severity: object, message: str) -> None:
                if message.startswith("Layers:"):
                    reports.append(message)

        return Logger()


@final
class _Builder:
    def __init__(self, fake: RtxAsTensorrt) -> None:
        self._fake, self._logger = fake, fake.logger()
        self._builder = fake.rtx.Builder(self._logger)

    def create_builder_config(self) -> "_Config":
        config = self._builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(self._fake.rtx.ComputeCapability.SM89, 0)
        return _Config(config, self._fake)

    def build_serialized_network(self, network: Any, config: "_Config") -> Any:
        return self._builder.build_serialized_network(network, config.real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)


@final
class _Config:
    """TensorRT-RTX's settings, with timing caches, which are without effect there."""

    real: Any

    def __init__(self, real: Any, fake: RtxAsTensorrt) -> None:
        self.__dict__.update(real=real, fake=fake)

    def create_timing_cache(self, content: bytes) -> bytes:
        self.__dict__["fake"].timing_caches.append(content)
        return content

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        return True

    def get_timing_cache(self) -> "_TimingCache":
        return _TimingCache()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)


@final
class _TimingCache:
    def serialize(self) -> bytes:
        return MEASURED


@final
class _Runtime:
    """A runtime, its engine and the engine's inspector in one."""

    def __init__(self, fake: RtxAsTensorrt) -> None:
        self._fake = fake

    def deserialize_cuda_engine(self, content: bytes) -> "_Runtime":
        return self

    def create_engine_inspector(self) -> "_Runtime":
        return self

    def get_engine_information(self, form: object) -> str:
        report = self._fake.reports[-1]
        return report if self._fake.inspector_tells_ends else report.partition("I/O Tensors:")[0]

    num_io_tensors = 2

    def get_tensor_name(self, index: int) -> str:
        return ("pixels", "label")[index]

    def get_tensor_mode(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name="INPUT" if name == "pixels" else "OUTPUT")

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name="HALF" if name == "pixels" else "INT32")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 1, 8, 8) if name == "pixels" else (-1,)
