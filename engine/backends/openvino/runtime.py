"""OpenVINO's module ``ov`` and its operators ``ops``, imported without what reports each import to its maker.

``import openvino`` loads a converter of models, which at once writes to ``~/intel`` and looks up
``www.google-analytics.com``. It does neither where its package openvino-telemetry cannot be imported, and it has no
other switch. So that package is out of reach while OpenVINO is imported; a program that has imported either of them
before has decided for itself.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_REPORTER = "openvino_telemetry"


@contextmanager
def _without_reports() -> Iterator[None]:
    if _REPORTER in sys.modules:
        yield
        return
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # how the import system marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[_REPORTER]


with _without_reports():
    import openvino as ov
    from openvino import opset15 as ops

__all__ = ["ops", "ov"]
