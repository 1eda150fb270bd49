"""The report as text: one table, what to do, and the machine."""

from collections.abc import Iterable

from purecert.engine.doctor.examination import Report
from purecert.engine.doctor.machine import Driver, Machine
from purecert.engine.doctor.requirements import kernel_for
from purecert.engine.errors import Problem
from purecert.engine.reports.text import markdown_table

_FLAGS = ("avx2", "avx512f")


def text(report: Report) -> str:
    """Return the report for people, as lines."""
    heading = ["backend", "usable", "why"]
    rows = [[one.backend, "yes" if one.usable else "no", one.reason] for one in report.backends]
    lines = markdown_table([heading, *rows], text_columns=len(heading))
    lines += _section("To mend", _remedies(report))
    lines += _section("Notices", (f"{notice.reason}. {_to_mend(notice.remedy)}" for notice in report.notices))
    if report.plan is not None:
        lines += ["", f"Plan {report.plan.directory}: {report.plan.says}"]
        lines += [f"- {problem.reason}. {_to_mend(problem.remedy)}" for problem in report.plan.problems]
    lines += _section("Machine", (f"{name}: {value}" for name, value in _facts(report.machine)))
    return "\n".join([*lines, "", f"Answered in {report.seconds:.1f} s."])


def _section(title: str, entries: Iterable[str]) -> list[str]:
    lines = [f"- {entry}" for entry in entries]
    return ["", f"{title}:", *lines] if lines else []


def _remedies(report: Report) -> list[str]:
    """Return one entry a remedy; backends that lack the same thing share it."""
    backends: dict[str, list[str]] = {}
    for one in report.backends:
        if one.remedy is not None:
            backends.setdefault(one.remedy, []).append(one.backend)
    return [f"{', '.join(names)}: {remedy}" for remedy, names in backends.items()]


def _facts(machine: Machine) -> list[tuple[str, str]]:
    processor = machine.processor
    has = ", ".join(f"{flag}: {_answer(processor.has(flag))}" for flag in _FLAGS)
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.versions.items())
    return [
        ("purecert", f"{machine.purecert} on Python {machine.python}, {machine.system}"),
        ("processor", f"{processor.architecture} {processor.model} ({has})"),
        ("noise on the host", _noise(machine)),
        ("driver", _driver(machine.driver)),
        ("CUDA kernels", _kernels(machine)),
        ("C++ compiler", machine.compiler if isinstance(machine.compiler, str) else machine.compiler.reason),
        ("packages", versions or "none of a backend's"),
    ]


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]


def _noise(machine: Machine) -> str:
    if machine.native.kernels is None:
        return "native"
    return "PyTorch" if "torch" in machine.packages.modules else "none"


def _driver(driver: Driver | Problem) -> str:
    if isinstance(driver, Problem):
        return driver.reason
    gpus = ", ".join(f"{gpu.name} ({gpu.capability[0]}.{gpu.capability[1]})" for gpu in driver.gpus)
    return f"{driver.version or 'version not known'}, CUDA {driver.cuda[0]}.{driver.cuda[1]}; {gpus}"


def _kernels(machine: Machine) -> str:
    built = machine.native.cuda_architectures
    if isinstance(built, Problem):
        return built.reason
    said = f"built for {', '.join(map(str, built))}"
    if isinstance(machine.driver, Problem):
        return said
    return f"{said}; for the first GPU: {kernel_for(machine.driver.gpus[0], built) or 'none'}"


def _to_mend(remedy: str) -> str:
    return f"To mend: {remedy}"
