"""Peaks of processors described by hand, and of GPUs by the names that drivers give them."""

import pytest

from purecert.engine.bench.cpu_peak import cpu_peak, flops_per_cycle, peak_of_processors, read_processors
from purecert.engine.bench.peaks import gpu_peak

_ZEN_3 = {"vendor_id": "AuthenticAMD", "cpu family": "25", "flags": "sse2 avx avx2 fma f16c"}
_ZEN_4 = {**_ZEN_3, "flags": "avx2 fma avx512f avx512_bf16"}
_ICE_LAKE = {"vendor_id": "GenuineIntel", "cpu family": "6", "flags": "avx2 fma avx512f"}
_SAPPHIRE = {**_ICE_LAKE, "flags": "avx2 fma avx512f avx512_bf16 avx512_fp16 amx_bf16"}


@pytest.mark.parametrize(
    ("processor", "precision", "flops"),
    [
        (_ZEN_3, "fp32", 2 * 8 * 2),
        (_ZEN_3, "fp16", 2 * 8 * 2),  # converted and summed in FP32
        (_ZEN_4, "fp32", 2 * 8 * 2),  # its 512-bit operations run in two halves
        (_ZEN_4, "bf16", 2 * 8 * 4),
        (_ICE_LAKE, "fp32", 2 * 16 * 2),
        (_SAPPHIRE, "fp32", 2 * 16 * 2),
        (_SAPPHIRE, "bf16", 1024),
    ],
)
def test_a_cycle_is_units_times_lanes_times_two(processor: dict[str, str], precision: str, flops: int) -> None:
    cycle = flops_per_cycle(processor, precision)
    assert cycle is not None
    assert cycle.flops == flops


@pytest.mark.parametrize(
    ("processor", "precision"), [({"Features": "fp asimd"}, "fp32"), (_ZEN_3, "int8"), (_SAPPHIRE, "fp16")]
)
def test_what_the_flags_do_not_tell_is_unknown(processor: dict[str, str], precision: str) -> None:
    assert flops_per_cycle(processor, precision) is None
    peak = peak_of_processors([{"processor": "0", "cpu MHz": "2000", **processor}], precision, 1, None)
    assert peak.flops is None
    assert peak.source.startswith("unknown")


_CPUINFO = "\n\n".join(
    f"processor\t: {number}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\ncpu MHz\t\t: {2500 + number}.000\n"
    f"physical id\t: 0\ncore id\t\t: {number // 2}\nflags\t\t: fpu avx2 fma avx512f"
    for number in range(4)
)


@pytest.mark.parametrize(("threads", "cores"), [(1, 1), (2, 2), (4, 2)])
def test_a_peak_is_cores_times_clock_times_cycle(threads: int, cores: int) -> None:
    """Four hardware threads on two cores: the units of a core are shared."""
    peak = peak_of_processors(read_processors(_CPUINFO), "fp32", threads, None)
    assert peak.flops == pytest.approx(cores * 2.503e9 * 64)
    for words in (f"{cores} core", "2.503 GHz", "from /proc/cpuinfo", "two 512-bit multiply-add units assumed"):
        assert words in peak.source


def test_the_largest_clock_is_taken_where_the_kernel_tells_it() -> None:
    peak = peak_of_processors(read_processors(_CPUINFO), "fp32", 1, "3700000")
    assert peak.flops == pytest.approx(3.7e9 * 64)
    assert "cpufreq" in peak.source


def test_this_machine_has_a_peak_or_says_why_not() -> None:
    peak = cpu_peak("fp32", 1)
    assert (peak.flops is None) == peak.source.startswith("unknown")


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        # Half of what the datasheets print with sparsity.
        ("NVIDIA H200", "fp16", 1979 / 2),
        ("NVIDIA H100 80GB HBM3", "bf16", 1979 / 2),
        ("NVIDIA H100 80GB HBM3", "tf32", 989 / 2),
        ("NVIDIA H200", "fp32", 67),
        ("NVIDIA H100 PCIe", "fp16", 1513 / 2),
        ("NVIDIA A100-SXM4-80GB", "fp16", 624 / 2),
        ("NVIDIA A100-PCIE-40GB", "fp32", 19.5),
        ("NVIDIA L40S", "fp16", 362),
        ("NVIDIA L4", "fp16", 242 / 2),
        ("NVIDIA B200", "bf16", 4500 / 2),
        ("NVIDIA GeForce RTX 4090", "fp16", 165.2),
        ("NVIDIA GeForce RTX 5090", "fp16", 419 / 2),
        ("NVIDIA H200, x86_64 some processor", "fp16", 1979 / 2),
    ],
)
def test_a_gpu_has_its_datasheets_dense_rate(name: str, precision: str, tera: float) -> None:
    peak = gpu_peak(name, precision)
    assert peak.flops == pytest.approx(tera * 1e12)
    assert "dense" in peak.source


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 5090 D",
        "NVIDIA GH200 480GB",
        "NVIDIA GB200",
        "NVIDIA L40",
        "NVIDIA H200 MIG 1g.18gb",
        "Tesla T4",
    ],
)
def test_an_unknown_gpu_is_named_unknown(name: str) -> None:
    peak = gpu_peak(name, "fp16")
    assert peak.flops is None
    assert peak.source.startswith("unknown")
    assert name in peak.source
