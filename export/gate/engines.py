"""The votes of a plan's TensorRT engines on the GPU that is here, against eager FP32, as of everything in a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.tensorrt.cache import EngineFile
from purecert.engine.backends.tensorrt.library import LibraryName
from purecert.engine.backends.tensorrt.program import open_tensorrt
from purecert.engine.errors import CheckError, PurecertError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan, write_plan
from purecert.engine.plans.trust import tag_path
from purecert.export.gate.parity import Talk, run_gate
from purecert.export.gate.voters import GraphVoter


def gate_engines(
    plan: Plan,
    engines: Sequence[EngineFile],
    modules: Mapping[float, nn.Module],
    data: Dataset,
    draws: int,
    batch: int,
    library: LibraryName,
    talk: Talk = lambda line: None,
) -> Plan:
    """Return the plan with what its engines lose against eager FP32, so that runs on them count as gated.

    Args:
        plan: The plan, with ``engines`` in its cache.
        engines: What was built; removed where they fail.
        modules: The FP32 module of each sigma.
        data: Where the draws come from.
        draws: Draws over all images and sigmas.
        batch: Rows of a call of the engines.
        library: What built the engines.
        talk: Takes what a person should know meanwhile.

    Raises:
        CheckError: The engines do not vote like eager FP32; they are removed, and the plan stays.
        BackendError: They cannot be run.
    """

    def candidates(plan: Plan, sigma: float, rows: int) -> list[GraphVoter]:
        # The engine's batch is its own; the voter cuts the gate's rows accordingly.
        opened = open_tensorrt(plan, sigma, (), BackendOptions(name=library, batch=batch))
        return [GraphVoter(opened.graph, library)]

    try:
        parity = run_gate(plan, modules, data, draws, talk, candidates)
    except CheckError as error:
        for engine in engines:
            for path in (engine.path, tag_path(engine.path), engine.path.with_suffix(".json")):
                path.unlink(missing_ok=True)
        raise CheckError(
            f"{error}; the engines of {library} were removed, the plan in {plan.directory} stays"
        ) from error
    except PurecertError as error:
        raise type(error)(f"{error}; the plan in {plan.directory} is complete, its engines were not gated") from error
    others = tuple(one for one in plan.record.parity if one.backend != library)
    files = tuple(engine.digest for engine in engines)
    gated = tuple(replace(one, files=files) for one in parity)
    return write_plan(plan.directory, replace(plan.record, parity=(*others, *gated)))
