"""The alias of the champion follows the log of promotions, whoever promotes, from wherever.

A promotion is done when its entry is in the log; the alias comes after it. Between the two a
process can be killed, and on a server another one can promote. So whoever finds the last entry not
carried out carries it out, and whoever has set the alias looks at the log again: the last one to
set it has seen the last entry.
"""

from __future__ import annotations

from lesion_dynamics.records.promotion_log import PromotionLog
from lesion_dynamics.records.registry import champion_number, set_champion
from lesion_dynamics.records.store import Store


def follow(store: Store, log: PromotionLog, name: str) -> None:
    """Let the alias stand for what the last entry of the log decided.

    An alias that somebody set by hand after the last promotion stays as it is.

    Raises
    ------
    ModelVersionError : the log was changed.
    OutputError : the registry does not answer.
    """
    followed: int | None = None
    while True:
        entries = log.entries()
        if not entries or entries[-1]["entry"] == followed:
            return
        last = entries[-1]
        if followed is None:
            if log.is_carried_out(last):
                return
            # Elsewhere it was moved already, but its process did not come to say so.
            move = champion_number(store, name) == _number(last["from"])
        else:
            move = True
        if move:
            set_champion(store, name, _number(last["to"]))
        log.carried_out(last)
        followed = int(last["entry"])


def _number(label: str | None) -> int | None:
    return None if label is None else int(label.rpartition("/")[2])
