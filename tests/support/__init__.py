"""What tests share. ``checked`` is their run-time type checker: an int is allowed where a float is expected."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
