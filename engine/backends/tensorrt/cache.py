"""Engines in a plan's cache: built on first use, and read back only with this machine's tag.

An engine is native code. Nothing here deserialises one, and other code may do so only with bytes whose tag was checked.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from purecert.engine.backends.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from purecert.engine.backends.tensorrt.library import LibraryName, library_version, load_library
from purecert.engine.backends.tensorrt.precision import PrecisionReport
from purecert.engine.backends.tensorrt.target import Target
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex, write_atomically
from purecert.engine.files.strict_json import read_document
from purecert.engine.plans.compiled_files import compiled_file, sole_maker
from purecert.engine.plans.plan import CACHE_DIRECTORY, Plan
from purecert.engine.plans.trust import read_trusted, write_trusted

_log = logging.getLogger("purecert")
_SCHEMA = "purecert.engine/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFile:
    """An engine of the cache that may be deserialised."""

    path: Path
    content: bytes
    digest: str  # SHA-256 of the content
    report: PrecisionReport
    build_seconds: float

    def told(self) -> dict[str, object]:
        """Return what a program may want to know of it, as JSON values."""
        said = {"file": str(self.path), "digest": self.digest, "bytes": len(self.content)}
        return {**said, "build_seconds": self.build_seconds, "report": asdict(self.report)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    """What is kept beside an engine: how it was built, and what was found in it."""

    schema: str
    library: str
    version: str
    gpu: str
    capability: str
    batch: int
    engine_bytes: int
    build_seconds: float
    options: BuildOptions
    report: PrecisionReport


def open_engine(
    plan: Plan,
    sigma: float,
    batch: int,
    library: LibraryName,
    target: Target,
    options: BuildOptions | None,
    *,
    trust: bool,
) -> EngineFile:
    """Return the engine of ``sigma``, built now unless this machine has done it before.

    How the builder searched is no part of what an engine is: whatever it found computes the same graph.

    Args:
        plan: The plan; the engine goes into its cache, with this machine's tag.
        sigma: The noise std of the graph.
        batch: Rows of a call.
        library: Which library builds it.
        target: What it will run on.
        options: How to search; an engine that was found with others is built again. None takes any engine that is
            there, and searches with the defaults where there is none.
        trust: Read an engine that this machine did not build; it can run any code.

    Raises:
        InputError: The cached engine is not this machine's, or the graph cannot be built.
        BackendError: The library is missing or cannot build it.
        CheckError: The engine does not compute in the plan's precision.
        OutOfMemoryError: The builder ran out of memory.
    """
    path, origin = _engine_file(plan, sigma, batch, library, target)
    if not _serves(path, options):
        with sole_maker(path):
            if not _serves(path, options):  # not built by another process meanwhile
                _build_into(path, origin, plan, sigma, batch, library, target, options or BuildOptions())
    content = read_trusted(path, origin, trust=trust)
    described = _read_description(path)
    return EngineFile(
        path=path,
        content=content,
        digest=sha256_hex(content),
        report=described.report,
        build_seconds=described.build_seconds,
    )


def _serves(path: Path, options: BuildOptions | None) -> bool:
    """Whether an engine is there, and one that was found with ``options`` if any are asked for."""
    return path.is_file() and (options is None or options == _read_description(path).options)


def _engine_file(plan: Plan, sigma: float, batch: int, library: LibraryName, target: Target) -> tuple[Path, str]:
    """Return where an engine lies, and a digest of everything that it is made from."""
    return compiled_file(plan, sigma, library, ".engine", _SCHEMA, {"batch": batch, **_maker(library, target)})


def _maker(library: LibraryName, target: Target) -> dict[str, object]:
    # An engine of TensorRT-RTX runs on every GPU of its compute capability.
    gpu = [target.capability] if library == "tensorrt-rtx" else [target.gpu, target.capability]
    return {"library": library, "version": library_version(load_library(library)), "gpu": gpu}


def _build_into(
    path: Path,
    origin: str,
    plan: Plan,
    sigma: float,
    batch: int,
    library: LibraryName,
    target: Target,
    options: BuildOptions,
) -> None:
    """Build an engine and keep it at ``path``, with what was found in it beside it."""
    where = target.capability if library == "tensorrt-rtx" else target.gpu
    _log.warning("building %s in batches of %d for %s; it takes a while and is done once", path.stem, batch, where)
    times = _Times(plan.directory / CACHE_DIRECTORY, library, target)
    known = times.read() if options.timing_cache else None
    built = build_engine(library, plan.read_graph(sigma), plan.record, batch, target, options, known)
    path.parent.mkdir(exist_ok=True)
    # Where an engine is, this is its own: the one before goes first, and the new one comes after it.
    path.unlink(missing_ok=True)
    write_atomically(path.with_suffix(".json"), _description(built, batch, library, target, options).encode())
    if built.timing_cache is not None:
        times.write(built.timing_cache)
    write_trusted(path, built.content, origin)


class _Times:
    """What building measured of the kernels of one GPU, kept for the next engine."""

    def __init__(self, folder: Path, library: LibraryName, target: Target) -> None:
        self._origin = sha256_hex(canonical_json({"schema": _SCHEMA, "times": _maker(library, target)}).encode())
        self._path = folder / f"{library}-{self._origin[:16]}.times"

    def read(self) -> bytes | None:
        """Return them; None where there are none, or not of this machine."""
        if not self._path.is_file():
            return None
        try:
            return read_trusted(self._path, self._origin)
        except InputError as error:
            _log.warning("measuring kernels again: %s", error)
            return None

    def write(self, content: bytes) -> None:
        """Keep them."""
        write_trusted(self._path, content, self._origin)


def _description(built: BuiltEngine, batch: int, library: LibraryName, target: Target, options: BuildOptions) -> str:
    described = _Described(
        schema=_SCHEMA,
        library=library,
        version=library_version(load_library(library)),
        gpu=target.gpu,
        capability=target.capability,
        batch=batch,
        engine_bytes=len(built.content),
        build_seconds=round(built.seconds, 1),
        options=options,
        report=built.report,
    )
    return json.dumps(asdict(described), indent=1) + "\n"


def _read_description(path: Path) -> _Described:
    described = path.with_suffix(".json")
    if not described.is_file():
        raise InputError(f"{described}: expected what was found in {path.name}, found none; delete it and run again")
    return read_document(
        _Described,
        described,
        described.read_bytes(),
        _SCHEMA,
        damaged="delete it and the engine and run again",
        other_version="delete both and run again",
    )
