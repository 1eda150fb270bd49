"""The folder of purecert's own that outlives a run: this machine's key, and Matplotlib's list of fonts."""

import os
from pathlib import Path

from purecert.engine.errors import InputError


def configuration_folder() -> Path:
    """Return the folder, which may not be there yet.

    Raises:
        InputError: The user has no home, and XDG_CONFIG_HOME names no other place.
    """
    if given := os.environ.get("XDG_CONFIG_HOME"):
        return Path(given) / "purecert"
    try:
        return Path.home() / ".config" / "purecert"
    except RuntimeError as error:  # a user without an entry and without HOME, as in some containers
        raise InputError(f"no place for this machine's key ({error}); set XDG_CONFIG_HOME to a folder") from error
