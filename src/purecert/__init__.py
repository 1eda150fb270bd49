"""Certified robustness by randomized smoothing, compiled.

The names below are what programs use; each is imported when it is first asked for, so that `import purecert` is quick
and needs no runtime. ``export_module`` and ``Denoiser`` need PyTorch (``pip install 'purecert[export]'``).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from purecert.engine import telemetry as _telemetry

if TYPE_CHECKING:
    from purecert.engine.api.art_smoothing import ArtSmoothing
    from purecert.engine.api.certifying import certify, load_plan, predict, read_run
    from purecert.engine.api.extending import extend
    from purecert.engine.api.loaded import load
    from purecert.engine.api.run_result import RunResult
    from purecert.engine.errors import PurecertError
    from purecert.engine.plans.plan import Plan
    from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
    from purecert.engine.procedures.spec import StopSpec
    from purecert.export.art_classifiers import export_art
    from purecert.export.modules import export_module
    from purecert.train.purifiers.own import Denoiser

__version__ = "0.1.0"

__all__ = [
    "Abstention",
    "ArtSmoothing",
    "Certificate",
    "Denoiser",
    "Plan",
    "Prediction",
    "PurecertError",
    "RunResult",
    "StopSpec",
    "certify",
    "export_art",
    "export_module",
    "extend",
    "load",
    "load_plan",
    "predict",
    "read_run",
]

_telemetry.switch_off()  # here, since no module of purecert, and so no library that one imports, is imported before

_HOME = {
    "Abstention": "purecert.engine.procedures.outcomes",
    "ArtSmoothing": "purecert.engine.api.art_smoothing",
    "Certificate": "purecert.engine.procedures.outcomes",
    "Denoiser": "purecert.train.purifiers.own",
    "Plan": "purecert.engine.plans.plan",
    "Prediction": "purecert.engine.procedures.outcomes",
    "PurecertError": "purecert.engine.errors",
    "RunResult": "purecert.engine.api.run_result",
    "StopSpec": "purecert.engine.procedures.spec",
    "certify": "purecert.engine.api.certifying",
    "export_art": "purecert.export.art_classifiers",
    "export_module": "purecert.export.modules",
    "extend": "purecert.engine.api.extending",
    "load": "purecert.engine.api.loaded",
    "load_plan": "purecert.engine.api.certifying",
    "predict": "purecert.engine.api.certifying",
    "read_run": "purecert.engine.api.certifying",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'purecert' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        raise AttributeError(
            f"purecert.{name} needs the package {error.name}, which is not installed; "
            "run: pip install 'purecert[export]'"
        ) from error


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
