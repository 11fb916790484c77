"""Everything that is known of one series, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.cli.output import say

if TYPE_CHECKING:
    from deid_node.node.series_status import GenerationStatus, SeriesStatus

RELEASES: Final = {
    "again": "`hold release` has it judged again",
    "accept": "look at the picture; then `hold release --accept` lets that result go,"
    " `hold release` has it judged again",
    "retry": "`retry` sends it again",
}


def told_of_series(found: SeriesStatus) -> None:
    """Write it, one generation after the other."""
    for each in found.generations:
        say(f"{found.series}, generation {each.generation}: {each.state}")
        _reason(each)
        caller = "" if each.caller is None else f", the first from {each.caller}"
        say(f"  instances  {each.n_instances}{caller}")
        if each.picture is not None:
            say(f"  picture    {each.picture} (shows the face)")
        for number, step in enumerate(each.history):
            say(f"  {'' if number else 'states':<10} {step.at}  {step.state}")
        for sent in each.destinations:
            say(
                f"  to         {sent.destination}: {sent.state}, {sent.n_answered} instances"
                f" answered, {sent.attempts} attempts"
            )
            if sent.reason is not None:
                say(f"             {sent.error}: {sent.reason}")
        for decision in each.decisions:
            say(f"  decision   {decision.at}  {decision.verdict} by {decision.who}: {decision.why}")


def _reason(each: GenerationStatus) -> None:
    if each.error is None:
        return
    logged = "" if each.error_id is None else f" (error_id {each.error_id} in the log)"
    say(f"  reason     {each.error}: {each.reason}{logged}")
    if each.next_step is not None:
        say(f"  next       {each.next_step}")
    if each.release is not None:
        say(f"  word       {RELEASES[each.release]}")
