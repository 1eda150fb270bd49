"""TensorRT-RTX's builder called without our own, on networks of 8 x 8 grey images."""

from typing import Any


def build_for_sm89(library: Any, builder: Any, network: Any, batch: int) -> None:
    """Build ``network`` at a fixed ``batch``, so that the library logs its report of the engine's layers."""
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("pixels", *[(batch, 1, 8, 8)] * 3)
    config.add_optimization_profile(profile)
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(library.ComputeCapability.SM89, 0)
    config.max_aux_streams = 0
    assert builder.build_serialized_network(network, config) is not None
