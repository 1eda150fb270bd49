"""The driver of the GPU through pycuda, asked for in one way."""

from typing import Any

from purecert.engine.errors import BackendError


def load_driver() -> Any:
    """Return ``pycuda.driver``, initialised; device 0 is the first that CUDA_VISIBLE_DEVICES leaves.

    Raises:
        BackendError: pycuda is not installed, or there is no driver or no GPU.
    """
    try:
        import pycuda.driver as driver
    except ModuleNotFoundError as error:
        raise BackendError(
            f"expected pycuda, which asks for the GPU here, found none ({error}); "
            "install it with `pip install pycuda`, which needs the CUDA toolkit"
        ) from error
    except ImportError as error:  # pycuda is there, the driver's library that it is linked to is not
        raise BackendError(f"expected the driver of a GPU, found none ({error}); install NVIDIA's driver") from error
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as error:
        raise BackendError(
            f"expected a GPU, but its driver says: {error}; check that nvidia-smi lists it, that the driver is not "
            "older than CUDA, and what CUDA_VISIBLE_DEVICES says"
        ) from error
    if count == 0:
        raise BackendError("expected a GPU, found none; check nvidia-smi and CUDA_VISIBLE_DEVICES")
    return driver


def capability_of(device: Any) -> str:
    """Return the compute capability of a device of pycuda's, such as ``"sm_90"``."""
    major, minor = device.compute_capability()
    return f"sm_{major}{minor}"
