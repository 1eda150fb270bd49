"""What the compiler is told, by names that the installed compiler knows."""

import pytest

from purecert.engine.backends.torch.compile import OPTIONS


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_compiler_knows_every_option(device: str) -> None:
    """An unknown name would fail a compilation on a GPU, which no machine without one can try."""
    import torch._inductor.config as inductor  # a heavy import, which no other test of this tier needs

    with inductor.patch(OPTIONS[device]):
        assert {name: inductor.get_config_copy()[name] for name in OPTIONS[device]} == OPTIONS[device]
