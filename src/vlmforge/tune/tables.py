"""The outcome of tuning as tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmforge.tune.search import Ranked, Tuning

MEANING = {"activation": "16-bit activation", "weight": "8-bit weight"}

LEFT_OUT = 5
"""The next candidates, shown below those chosen."""

KEPT = "the configuration as it is; what it widens is now listed, and nothing else changed"

COLUMNS = ("", "node", "gets", "KL alone", "cost", "why")


def rows(tuning: Tuning) -> list[Sequence[str]]:
    """The candidates chosen, best gain first, and the first that were not needed."""
    left_out = [each for each in tuning.ranked if each not in tuning.exceptions]
    shown = [(each, True) for each in tuning.exceptions]
    return [_row(*each) for each in (*shown, *((each, False) for each in left_out[:LEFT_OUT]))]


def facts(tuning: Tuning) -> dict[str, str]:
    """What was reached, and at what cost."""
    agreement = f", top-1 {tuning.budget.top1:.2%}" if tuning.budget.top1 else ""
    return {
        "budget": f"KL {tuning.budget.kl:g}{agreement}",
        **({"met by": KEPT} if tuning.own is not None else {}),
        "nothing widened": _score(tuning.narrow),
        f"{len(tuning.exceptions)} of {len(tuning.ranked)} widened": _score(tuning.chosen),
        "everything widened": _score(tuning.wide),
        "cost of the chosen": f"{tuning.cost:.2%} more bytes and products",
    }


def document(tuning: Tuning) -> dict[str, Any]:
    """The outcome, JSON-able."""
    return {
        "config": tuning.config.document(),
        "kept": tuning.own is not None,
        "kl": {
            "nothing": tuning.narrow.kl, "chosen": tuning.chosen.kl, "everything": tuning.wide.kl,
        },
        "top1_agreement": {
            "nothing": tuning.narrow.top1, "chosen": tuning.chosen.top1,
            "everything": tuning.wide.top1,
        },
        "cost": tuning.cost,
        "candidates": [
            {
                "component": each.candidate.component,
                "kind": each.candidate.kind,
                "name": each.candidate.name,
                "setting": each.candidate.setting,
                "kl": each.kl,
                "cost": each.cost,
                "chosen": each in tuning.exceptions,
            }
            for each in tuning.ranked
        ],
    }  # fmt: skip


def _row(each: Ranked, chosen: bool) -> tuple[str, ...]:
    why = f"saves {each.kl:.2g} nats for {each.cost:.2%}"
    return (
        "yes" if chosen else "no",
        each.candidate.setting,
        MEANING[each.candidate.kind],
        f"{each.kl:.2e}",
        f"{each.cost:.2%}",
        why if chosen else "the budget holds without",
    )


def _score(score: Any) -> str:
    return f"KL {score.kl:.5f}, top-1 {score.top1:.2%}"
