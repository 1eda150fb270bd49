"""The check of an argument, for functions whose callers are programs."""


def require(condition: bool, expected: str) -> None:
    """Raise ``ValueError``, saying what was expected, unless ``condition`` holds."""
    if not condition:
        raise ValueError(f"expected {expected}")
