"""Plans that a measurement makes for itself: the demo's, exported in a process of its own."""

from pathlib import Path

from certifying.engine_side import HOST, Engine, run_command

from purecert.engine.bench.cpu_peak import read_processors
from purecert.engine.bench.process import in_own_process
from purecert.export.bench.jobs import DEMO

_PARITY_DRAWS = "2000"  # nothing is certified here for anybody, and labels are compared again beside the baseline's


def demo_plan(precision: str, sigma: float, folder: Path) -> Path:
    """Return the demo's plan at ``sigma``, exported anew into ``folder``.

    Raises:
        BackendError: The export failed; it has said why on stderr.
    """
    plan = folder / f"{DEMO}-{precision}"
    options = ["--precision", precision, "--sigma", str(sigma), "--parity-draws", _PARITY_DRAWS]
    in_own_process(_export, [DEMO, "--out", str(plan), "--force", *options])
    return plan


def demo_engines(sigma: float, folder: Path) -> tuple[Engine, ...]:
    """Return what is measured where no engine is named: FP16 on the GPU where there is one, else the host's."""
    if in_own_process(_is_on_gpu):
        return (Engine(backend="torch-cuda", plan=demo_plan("fp16", sigma, folder)),)
    single = demo_plan("fp32", sigma, folder)
    engines = [Engine(backend=HOST, plan=single), Engine(backend="torch-compiled", plan=single)]
    if has_half_arithmetic():
        engines.append(Engine(backend="torch-compiled", plan=demo_plan("fp16", sigma, folder)))
    return tuple(engines)


def has_half_arithmetic() -> bool:
    """Return whether this processor computes in FP16; without that PyTorch does it in plain loops, far slower."""
    cpuinfo = Path("/proc/cpuinfo")
    processors = read_processors(cpuinfo.read_text("utf-8", "replace")) if cpuinfo.exists() else []
    return any("avx512_fp16" in one.get("flags", "").split() for one in processors)


def _export(arguments: list[str]) -> None:
    from purecert.export.commands import export_command

    run_command(export_command, arguments)


def _is_on_gpu() -> bool:
    from purecert.export.bench.eager_loop import eager_device

    return eager_device().type == "cuda"
