"""What libraries under purecert tell their makers, switched off before any of them is imported (docs/trust.md)."""

import os

# ONNX Runtime's Linux wheels since 1.29, which read it once, when they are imported; and Hugging Face's hub.
_SWITCHES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
_KEPT_ON = ("0", "false")


def switch_off() -> None:
    """Switch every such report off in this process and those it starts, unless the user has set a switch to 0."""
    for switch in _SWITCHES:
        if os.environ.get(switch, "").lower() not in _KEPT_ON:
            os.environ[switch] = "1"
