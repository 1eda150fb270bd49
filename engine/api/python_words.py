"""Messages for programs: what they name as an option of a command is named as the argument that was passed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from purecert.engine.errors import PurecertError

_OPTION = re.compile(r"`[^`]*`|--([a-z][a-z-]*)")  # what stands in backticks is to be typed, and stays
_ARGUMENTS = {
    "resume": "resume=True",
    "force": "force=True",
    "trust-plan": "--trust-plan to engine-certify",  # programs have no such argument
}


@contextmanager
def python_words(*, images: str = "images") -> Iterator[None]:
    """Let errors name Python's arguments; usable as a decorator. ``images`` is the argument for ``--data``."""
    names = _ARGUMENTS | {"data": images}

    def argument(option: re.Match[str]) -> str:
        return names.get(option[1], option[1].replace("-", "_")) if option[1] else option[0]

    try:
        yield
    except PurecertError as error:
        error.args = (_OPTION.sub(argument, str(error)),)
        raise
