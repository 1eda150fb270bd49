"""What the user chooses of a backend."""

from dataclasses import dataclass

from purecert.engine.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendOptions:
    """What the user chooses of a backend; all of it but ``trust`` is part of run.json."""

    name: str = "onnxruntime"  # of the table of backends (registry.py)
    batch: int = 256
    threads: int = 1
    probe_rows: int = 1000  # rows of the row check
    trust: bool = False  # load cached programs that this machine did not make

    def __post_init__(self) -> None:
        for what in ("batch", "threads", "probe_rows"):
            if getattr(self, what) < 1:
                raise InputError(f"expected {what} of at least 1, got {getattr(self, what)}")
