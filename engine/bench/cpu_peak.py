"""The theoretical peak of the processors here: cores x clock x operations a cycle, with every assumption said."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MAX_CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")  # kHz
_ZEN_4 = ("AuthenticAMD", "25")  # runs a 512-bit operation in two halves
_GIGA = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """The most floating-point operations a second that the hardware allows, as far as it is known."""

    flops: float | None  # FLOP/s, two for a multiply-add; None where unknown
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cycle:
    """What one core does in one cycle."""

    flops: int
    why: str


Processor = Mapping[str, str]  # one block of /proc/cpuinfo


def cpu_peak(precision: str, threads: int) -> Peak:
    """Return the peak of ``threads`` threads on the processors that this process may use."""
    if not _CPUINFO.exists():
        return Peak(flops=None, source="unknown: there is no /proc/cpuinfo here")
    allowed = os.sched_getaffinity(0)
    processors = [
        one for one in read_processors(_CPUINFO.read_text("utf-8", "replace")) if int(one["processor"]) in allowed
    ]
    kilohertz = _MAX_CLOCK.read_text("ascii").strip() if _MAX_CLOCK.exists() else None
    return peak_of_processors(processors, precision, threads, kilohertz)


def read_processors(cpuinfo: str) -> list[Processor]:
    """Return the blocks of /proc/cpuinfo that describe a processor each."""
    blocks = [
        {
            key.strip(): value.strip()
            for key, colon, value in (line.partition(":") for line in block.splitlines())
            if colon
        }
        for block in cpuinfo.split("\n\n")
    ]
    return [block for block in blocks if "processor" in block]


def peak_of_processors(
    processors: Sequence[Processor], precision: str, threads: int, max_kilohertz: str | None
) -> Peak:
    """Return the peak of ``threads`` threads on ``processors``; two hardware threads share the units of one core."""
    cycle = flops_per_cycle(processors[0], precision) if processors else None
    clock, clock_source = _clock(processors, max_kilohertz)
    if cycle is None or clock is None:
        return Peak(
            flops=None, source=f"unknown: /proc/cpuinfo does not tell a core's operations a second in {precision}"
        )
    cores = min(
        threads, len({(one.get("physical id", "0"), one.get("core id", one["processor"])) for one in processors})
    )
    speed = f"{clock:g} GHz ({clock_source}) x {cycle.flops} FLOP a cycle ({cycle.why})"
    return Peak(flops=cores * clock * _GIGA * cycle.flops, source=f"{cores} core{'s' * (cores > 1)} x {speed}")


def flops_per_cycle(processor: Processor, precision: str) -> Cycle | None:
    """Return what a core of an x86 processor does at most in a cycle; None for another processor or precision."""
    flags = set(processor.get("flags", "").split())
    single = _single(processor, flags)
    if single is None or precision not in ("fp32", "fp16", "bf16"):
        return None
    if precision == "fp32":
        return single
    if "amx_bf16" in flags:
        # Some of these have amx_fp16 as well, which Linux does not list among the flags.
        return Cycle(flops=1024, why="amx_bf16, one tile unit assumed") if precision == "bf16" else None
    if f"avx512_{precision}" in flags:
        return Cycle(flops=2 * single.flops, why=f"avx512_{precision}, twice {single.why}")
    return Cycle(flops=single.flops, why=f"no {precision} arithmetic here, so FP32's: {single.why}")


def _single(processor: Processor, flags: set[str]) -> Cycle | None:
    if "avx512f" in flags and (processor.get("vendor_id"), processor.get("cpu family")) != _ZEN_4:
        return Cycle(flops=64, why="avx512f, two 512-bit multiply-add units assumed")
    if {"avx2", "fma"} <= flags:
        return Cycle(flops=32, why="fma, two 256-bit multiply-add units assumed")
    return None


def _clock(processors: Sequence[Processor], max_kilohertz: str | None) -> tuple[float | None, str]:
    """Return the clock in GHz and what says so."""
    if max_kilohertz is not None:
        return int(max_kilohertz) / 1e6, "the largest, from cpufreq"
    found = [float(one["cpu MHz"]) for one in processors if "cpu MHz" in one]
    return (max(found) / 1e3, "from /proc/cpuinfo; the real one may be higher") if found else (None, "")
