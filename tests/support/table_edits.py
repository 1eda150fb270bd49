"""Edits of a run with stopping tables: of the tables, and of where a line says that each radius was decided."""

from collections.abc import Callable
from typing import Any, Final

from support.edit_forms import HUGE, REFUSED, Edit, Lines, Record, on_first_line, set_field


def _first_stop(change: Callable[[list[list[int]]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda line: change(line["stops"])


def _table(change: Callable[[dict[str, Any]], object]) -> Callable[[Record, Lines], object]:
    return lambda record, lines: change(record["spec"]["stop"]["tables"][0])


TABLE_EDITS: Final = (
    *(
        on_first_line(f"stops {name}", _first_stop(change), ("tables",))
        for name, change in {
            "short of one": lambda stops: stops.pop(),
            "with one more": lambda stops: stops.append(stops[-1]),
            "in another order": lambda stops: stops.reverse(),
            "a draw later": lambda stops: stops[0].__setitem__(0, stops[0][0] + 1),
            "with a failure": lambda stops: stops[0].__setitem__(1, stops[0][1] - 1),
            "with more successes than draws": lambda stops: stops[0].__setitem__(1, 300),
            "below 0": lambda stops: stops[0].__setitem__(1, -1),
            "of 10^400": lambda stops: stops[0].__setitem__(0, HUGE),
        }.items()
    ),
    on_first_line("no stops", lambda line: line.pop("stops"), ("tables",)),
    on_first_line("stops of no table", lambda line: line.update(stops=[[1, 1]]), ("fixed", "radii", "votes", "answer")),
    *(
        Edit(name=f"a table {name}", mutate=_table(change), seen=REFUSED, of=("tables",))
        for name, change in {
            "of another alpha": lambda table: table.update(alpha=0.01),
            "of another threshold": lambda table: table.update(threshold=0.51),
            "of another n": lambda table: table.update(n=299),
            "of another price": lambda table: table.update(price=1e5),
            "whose last look asks for one less": lambda table: table.update(
                high=[*table["high"][:-1], table["high"][-1] - 1], low=[*table["low"][:-1], table["low"][-1] - 1]
            ),
            "that never gives up": lambda table: table.update(low=[-1] * (len(table["low"]) - 1) + table["low"][-1:]),
            "that always certifies": lambda table: table.update(high=[low + 1 for low in table["low"]]),
            "with a look too many": lambda table: table["looks"].append(400),
            "without looks": lambda table: table.update(looks=[], high=[], low=[]),
            "of another form": lambda table: table.update(form=2),
            "of a law without a spread": lambda table: table.update(law_std=0.0),
            "of a law with a spread below 0": lambda table: table.update(law_std=-1.0),
            "of a law far away": lambda table: table.update(law_mean=1e300),
        }.items()
    ),
    *(set_field("spec.stop.price", price, of=("tables",)) for price in (1e5, 0.0, -1.0, 1e308, HUGE)),
    Edit(
        name="a price of 10^308 of all tables too",
        mutate=lambda record, lines: [
            part.update(price=1e308) for part in (record["spec"]["stop"], *record["spec"]["stop"]["tables"])
        ],
        seen=REFUSED,
        of=("tables",),
    ),
    set_field("spec.stop.price", 1e6, of=("tolerance", "answer")),
    set_field("spec.stop.tables", [], of=("tables",)),
    set_field("spec.step", 2, of=("tables",)),
)
