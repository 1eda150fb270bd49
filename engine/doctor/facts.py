"""Reading the machine: its processor, packages, driver, native modules and compiler."""

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import purecert
from purecert.engine.backends.torch.cpp_compiler import find_compiler
from purecert.engine.doctor.machine import Machine, Native, Processor
from purecert.engine.doctor.packages import read_packages
from purecert.engine.doctor.probes.driver import read_driver
from purecert.engine.doctor.probes.native import REINSTALL_CUDA, REINSTALL_KERNELS, check_kernels, cuda_architectures
from purecert.engine.errors import Problem, UnusableError
from purecert.engine.hardware import describe_cpu
from purecert.engine.own_process import RESTART, DiedError, ask

_CPUINFO = Path("/proc/cpuinfo")

Result = TypeVar("Result")


def read_machine(seconds: float) -> Machine:
    """Return this machine; no part of it is waited for longer than ``seconds``."""
    with ThreadPoolExecutor() as pool:
        driver = pool.submit(_asked, seconds, read_driver, "the NVIDIA driver", RESTART)
        kernels = pool.submit(_asked, seconds, check_kernels, "the native module purecert._kernels", REINSTALL_KERNELS)
        cuda = pool.submit(_asked, seconds, cuda_architectures, "the module purecert._cuda", REINSTALL_CUDA)
        compiler = pool.submit(find_compiler, seconds)
        packages = read_packages()
        return Machine(
            purecert=purecert.__version__,
            python=platform.python_version(),
            system=platform.platform(),
            processor=read_processor(_CPUINFO),
            packages=packages,
            native=Native(kernels=kernels.result(), cuda_architectures=cuda.result()),
            driver=driver.result(),
            compiler=compiler.result(),
        )


def read_processor(cpuinfo: Path) -> Processor:
    """Return the processor, with the flags that the first one of ``cpuinfo`` (Linux's list) has."""
    flags = None
    if cpuinfo.exists():
        for line in cpuinfo.read_text("ascii", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):  # the latter on ARM
                flags = frozenset(value.split())
                break
    architecture = platform.machine()
    return Processor(architecture=architecture, model=describe_cpu().removeprefix(f"{architecture} "), flags=flags)


def _asked(seconds: float, function: Callable[[], Result], what: str, remedy: str) -> Result | Problem:
    try:
        return ask(seconds, function)
    except UnusableError as error:
        return error.problem
    except DiedError as error:
        return Problem(reason=f"{what} cannot be used: {error.reason}", remedy=RESTART if error.is_stuck else remedy)
