"""The commands of a purecert that is built but not installed: `python -m gpu.engine certify --plan ...`."""

import sys
from importlib import import_module

_MODULES = {
    "bench": "purecert.export.bench.command",
    "certify": "purecert.engine.commands.certify",
    "doctor": "purecert.engine.commands.doctor",
    "export": "purecert.export.commands",
}


def main() -> None:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:]
    command = getattr(import_module(_MODULES[name]), f"{name}_command")
    command(args=arguments, prog_name=f"engine-{name}")


if __name__ == "__main__":
    main()
