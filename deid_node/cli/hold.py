"""``deid-node hold``: what waits for a person, and the person's word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json, say_table
from deid_node.cli.series_summary import told_of_series

LONGEST: Final = 200
"""Characters of what a person says about a decision."""

app = typer.Typer(
    help="Series that wait for a person: look, release, refuse.", no_args_is_help=True
)

SeriesArgument = Annotated[str, typer.Argument(help="Key of the series, or its beginning.")]
GenerationOption = Annotated[
    int | None,
    typer.Option(help="Which generation, where more than one waits.", show_default=False),
]


def _words(text: str) -> str:
    """Take one line of printable text."""
    words = text.strip()
    if not words or len(words) > LONGEST or not words.isprintable():
        raise typer.BadParameter(f"one line of text is needed, at most {LONGEST} characters")
    return words


WhoOption = Annotated[str, typer.Option(help="Who decides; it is put on record.", callback=_words)]
WhyOption = Annotated[
    str,
    typer.Option(help="Why; it is put on record, so name no patient in it.", callback=_words),
]


@app.command("list")
def list_holds(config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """List the series that wait for a person, longest waiting first.

    Example: deid-node hold list
    """
    from deid_node.node.holds import release_of
    from deid_node.node.status import status as snapshot_of

    held = snapshot_of(settings_from(config)).held
    if json:
        rows = [{**asdict(each), "release": release_of(each.error).value} for each in held]
        say_json({"held": rows})
        return
    say_table(
        ("series", "gen", "state", "instances", "release", "reason"),
        [
            (
                each.series[:12],
                str(each.generation),
                each.state,
                str(each.n_instances),
                release_of(each.error).value,
                f"{each.error}: {each.reason}",
            )
            for each in held
        ]
        or [("–", "", "", "", "", "nothing waits")],
    )


@app.command()
def show(series: SeriesArgument, config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Show why a series is held, what can be done, and where its picture lies.

    Example: deid-node hold show k7q2m4x9tz3a
    """
    from deid_node.node.series_status import series_status

    found = series_status(settings_from(config), series)
    if json:
        say_json(found.as_json())
    else:
        told_of_series(found)


@app.command()
def release(
    series: SeriesArgument,
    who: WhoOption,
    why: WhyOption,
    generation: GenerationOption = None,
    config: ConfigOption = None,
    *,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="You saw the picture, and the face is gone: let that result go."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Have a held series judged again; with --accept, let the result go that you saw.

    Example: deid-node hold release k7q2m4x9tz3a --who "A. Reader" --why "sent again, complete"
    """
    from deid_node.node.holds import Word
    from deid_node.node.holds import release as have_judged_again

    released = have_judged_again(
        settings_from(config),
        series,
        Word(who=who, why=why),
        number=generation,
        accept=accept,
    )
    verdict = "accepted" if accept else "released"
    if json:
        answer = {"series": released.series, "generation": released.number, "verdict": verdict}
        say_json(answer)
    else:
        say(f"{released.series[:12]} is {verdict}; the node works on it again")


@app.command()
def refuse(
    series: SeriesArgument,
    who: WhoOption,
    why: WhyOption,
    generation: GenerationOption = None,
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """End a held series: nothing more of it leaves, whatever comes of it later.

    Example: deid-node hold refuse k7q2m4x9tz3a --who "A. Reader" --why "no consent"
    """
    from deid_node.node.holds import Word
    from deid_node.node.holds import refuse as end

    refused = end(settings_from(config), series, Word(who=who, why=why), number=generation)
    if json:
        say_json({"series": refused.series, "generation": refused.number, "verdict": "refused"})
    else:
        say(f"{refused.series[:12]} is refused; `deid-node purge` deletes its files")
