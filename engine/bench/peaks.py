"""The theoretical peak of what computes a row, and where that number comes from; unknown where nothing says it."""

import re
from dataclasses import dataclass

from purecert.engine.bench.cpu_peak import Peak, cpu_peak

_TERA = 1e12


@dataclass(frozen=True, kw_only=True, slots=True)
class _Datasheet:
    """NVIDIA's rates of one product, in TFLOP/s: dense, at the boost clock, sums of half products in FP32."""

    name: str
    pattern: str  # of the device's name as the driver tells it
    half: float  # FP16 and BF16
    tf32: float
    fp32: float


# The datasheets print most tensor rates "with sparsity", which are twice these.
_DATASHEETS = (
    _Datasheet(name="B200 (HGX)", pattern=r"\bB200\b", half=2250, tf32=1125, fp32=75),
    _Datasheet(name="H200 NVL", pattern=r"\bH200 NVL\b", half=835.5, tf32=417.5, fp32=60),
    _Datasheet(name="H200 SXM", pattern=r"\bH200\b", half=989.5, tf32=494.5, fp32=67),
    _Datasheet(name="H100 NVL", pattern=r"\bH100 NVL\b", half=835.5, tf32=417.5, fp32=60),
    _Datasheet(name="H100 PCIe", pattern=r"\bH100 PCIe\b", half=756.5, tf32=378, fp32=51),
    _Datasheet(name="H100 SXM", pattern=r"\bH100 80GB HBM3\b", half=989.5, tf32=494.5, fp32=67),
    _Datasheet(name="A100", pattern=r"\bA100\b", half=312, tf32=156, fp32=19.5),
    _Datasheet(name="L40S", pattern=r"\bL40S\b", half=362, tf32=183, fp32=91.6),
    _Datasheet(name="L4", pattern=r"\bL4\b", half=121, tf32=60, fp32=30.3),
    _Datasheet(name="GeForce RTX 5090", pattern=r"\bRTX 5090\b(?! (D|Laptop))", half=209.5, tf32=104.8, fp32=104.8),
    _Datasheet(name="GeForce RTX 4090", pattern=r"\bRTX 4090\b(?! (D|Laptop))", half=165.2, tf32=82.6, fp32=82.6),
)
_RATES = {"fp16": "half", "bf16": "half", "tf32": "tf32", "fp32": "fp32"}


def peak_of(device: str, hardware: str, precision: str, threads: int) -> Peak:
    """Return the peak of ``hardware`` at ``precision`` for a row that ran on ``device`` ("cpu", or an accelerator)."""
    if device == "cpu":
        return cpu_peak(precision, threads)
    return gpu_peak(hardware, precision)


def gpu_peak(hardware: str, precision: str) -> Peak:
    """Return the datasheet's dense rate at ``precision`` of the GPU that ``hardware`` names."""
    if re.search(r"\bMIG\b", hardware):
        return Peak(flops=None, source=f"unknown: {hardware} is a part of a GPU")
    sheet = next((sheet for sheet in _DATASHEETS if re.search(sheet.pattern, hardware)), None)
    if sheet is None or precision not in _RATES:
        return Peak(flops=None, source=f"unknown: no datasheet rate of {hardware} in {precision} is at hand")
    rate = float(getattr(sheet, _RATES[precision]))
    return Peak(flops=rate * _TERA, source=f"datasheet of {sheet.name}: {rate:g} TFLOP/s dense in {precision}")
