"""Every command that writes somewhere takes the place by the same names."""

from importlib import import_module

import click
import pytest

_WRITING = {
    "purecert.engine.commands.certify": "certify_command",
    "purecert.engine.commands.predict": "predict_command",
    "purecert.engine.commands.report": "report_command",
    "purecert.export.commands": "export_command",
    "purecert.export.bench.command": "bench_command",
    "purecert.train.commands": "train_command",
    "purecert.train.importing.command": "import_command",
}


@pytest.mark.parametrize("module", _WRITING)
def test_where_a_command_writes_is_given_by_the_same_names(module: str) -> None:
    command: click.Command = getattr(import_module(module), _WRITING[module])
    commands = command.commands.values() if isinstance(command, click.Group) else [command]
    for each in commands:
        (output,) = [parameter for parameter in each.params if parameter.name == "output"]
        assert output.opts == ["-o", "--out", "--output"]
