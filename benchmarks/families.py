"""The full parity gate in FP16 for every family at reduced width: 20,000 draws of 100 digits at sigma .12.

    OMP_NUM_THREADS=1 PYTHONPATH=tests python benchmarks/families.py benchmarks/results/families.json

Purifiers have random weights, and classifiers are trained on what those leave of noisy digits, so that labels mean
something and depend on every layer.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from purecert.engine.hardware import describe_cpu
from purecert.engine.images.datasets import load_dataset
from purecert.export.pipeline import ExportSpec, export_plan
from support.small_models import CLASSIFIERS, PURIFIERS, trained_model

_SIGMA = 0.12
_CLASSIFIER = "ResNet A"


def main() -> None:
    """Print a table and write the JSON; a gate that fails ends the program with its reason."""
    others = [name for name in CLASSIFIERS if name != _CLASSIFIER]
    families = [*((name, _CLASSIFIER) for name in PURIFIERS), *(("identity", name) for name in others)]
    print("| purifier | classifier | agreement | mean net loss |")
    print("| --- | --- | --- | --- |")
    rows = [_gate(purifier, classifier) for purifier, classifier in families]
    record = {
        "command": "OMP_NUM_THREADS=1 PYTHONPATH=tests python benchmarks/families.py OUT",
        "hardware": describe_cpu(),
        "versions": {name: version(name) for name in ("purecert", "torch", "onnxruntime")},
        "sigma": _SIGMA,
        "families": rows,
    }
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")


def _gate(purifier: str, classifier: str) -> dict[str, Any]:
    model = trained_model(purifier, classifier, _SIGMA)
    with tempfile.TemporaryDirectory() as folder:
        spec = ExportSpec(sigmas=(_SIGMA,), precision="fp16")
        plan = export_plan(model, spec, load_dataset("digits:test[:100]"), Path(folder) / "plan")
    half = next(parity for parity in plan.record.parity if parity.backend == "torch")
    print(f"| {purifier} | {classifier} | {half.agreement:.5f} | {half.net_loss_mean:.5f} |", flush=True)
    return {
        "purifier": purifier,
        "classifier": classifier,
        "draws": half.draws,
        "agreement": half.agreement,
        "net_loss_mean": half.net_loss_mean,
        "net_loss_worst": half.net_loss_worst,
    }


if __name__ == "__main__":
    main()
