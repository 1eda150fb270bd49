"""What run.json says of a run, made from the plan, the data and the backend alone."""

from dataclasses import asdict, fields

import purecert
from purecert.engine.backends.base import BackendInfo
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.run_record import RUN_SCHEMA, BackendRecord, DataRecord, RunRecord


def make_record(
    plan: Plan, dataset: Dataset, spec: SmoothingSpec, info: BackendInfo, *, seed: int, seed_given: bool
) -> RunRecord:
    """Return the record of a run of ``plan`` on ``dataset``.

    Raises:
        InputError: The plan holds no graph of the spec's sigma.
    """
    parity = plan.record.parity
    gated = any(
        (measured.backend, measured.executed_precision) == (info.name, info.executed_precision)
        and (not measured.files or info.graph in measured.files)
        for measured in parity
    )
    return RunRecord(
        schema=RUN_SCHEMA,
        purecert=purecert.__version__,
        **{field.name: getattr(spec, field.name) for field in fields(spec)},
        seed=seed,
        seed_given=seed_given,
        plan=plan.digest,
        precision=plan.record.precision,
        parity_reduced=any(measured.reduced for measured in parity),
        purifier=plan.record.purifier,
        time_rule=plan.record.time_rule,
        t=plan.graph(spec.sigma).t,
        classes=plan.record.classes,
        noise_elements=plan.noise_elements,
        data=DataRecord(
            name=dataset.name,
            images=len(dataset),
            fingerprint=dataset.fingerprint,
            quantised=dataset.quantised,
            classes=dataset.classes,
        ),
        backend=BackendRecord(**asdict(info), gated=gated),
    )
