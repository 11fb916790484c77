"""``deid-node profile``: what happens to each attribute, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from deid_node.cli.options import JsonOption
from deid_node.cli.output import complain, say, say_json, say_table
from deid_node.cli.profile_answers import (
    DEIDENTIFIED,
    any_key,
    authority_of,
    keepers_of,
    path_given,
    sop_class_given,
    tried,
)
from deid_node.cli.profile_import import import_profile

app = typer.Typer(help="Profiles of header de-identification.", no_args_is_help=True)
app.command("import")(import_profile)

LEFT: Final = 65
"""Exit code of `test` if a planted identifier is left, or an instance is held."""
INVALID: Final = 78
"""Exit code of `lint` if the profile cannot be used."""
DEFAULT: Final = "research-mr"

NameArgument = Annotated[str, typer.Argument(help="A shipped profile's name, or a path.")]
SOPClassOption = Annotated[
    str, typer.Option(help="Whose IOD decides about Types; a keyword of PS3.6.")
]


@app.command("list")
def list_profiles(*, json: JsonOption = False) -> None:
    """List the shipped profiles.

    Example: deid-node profile list
    """
    from deid_node.config.profile_file import load_profile, shipped_profiles

    loaded = [load_profile(path) for path in sorted(shipped_profiles().glob("*.yaml"))]
    if json:
        say_json(
            {
                "profiles": [
                    {
                        "name": each.name,
                        "version": each.version,
                        "why": each.why,
                        "options": sorted(option.value for option in each.options),
                    }
                    for each in loaded
                ]
            }
        )
        return
    say_table(
        ("profile", "version", "what it is for"),
        [(each.name, str(each.version), each.why) for each in loaded],
    )


@app.command()
def show(name: NameArgument) -> None:
    """Print a profile file, with the reason for each rule.

    Example: deid-node profile show research-mr
    """
    from deid_node.config.profile_file import find_profile, load_profile

    load_profile(name)
    say(find_profile(name).read_text(encoding="utf-8").rstrip())


@app.command()
def explain(
    attribute: Annotated[
        str, typer.Argument(help="A keyword, (gggg,eeee), or a path with / between levels.")
    ],
    profile: Annotated[str, typer.Option(help="A shipped profile's name, or a path.")] = DEFAULT,
    sop_class: SOPClassOption = "MRImageStorage",
    *,
    json: JsonOption = False,
) -> None:
    """Say what a profile does to an attribute, on whose authority, and why.

    Example: deid-node profile explain RequestAttributesSequence/RequestedProcedureID
    """
    from deid_node.config.profile_file import load_profile
    from deid_node.headers import plan

    path, loaded, uid = path_given(attribute), load_profile(profile), sop_class_given(sop_class)
    decision = plan.explain(loaded, path, uid)
    keepers = keepers_of(path[-1], loaded) if decision.authority == "private" else []
    why = f"stays if its creator is {' or '.join(keepers)}" if keepers else decision.why
    facts: dict[str, object] = {
        "attribute": "/".join(map(plan.name_of, path)),
        "profile": loaded.name,
        "sop_class": sop_class,
        "action": decision.action.value,
        "authority": authority_of(decision, path, loaded),
        "type": decision.type,
        "why": why,
        "departs": decision.departs,
    }
    if json:
        say_json(facts)
        return
    say(f"{facts['attribute']}: {decision.action.value}")
    say(f"  by     {facts['authority']}")
    say(f"  IOD    {f'Type {decision.type}' if decision.type else 'not there'}, {sop_class}")
    if why:
        say(f"  why    {why}")
    if decision.departs:
        say("  claim  weaker than PS3.15: an instance that holds it does not claim 113100")


@app.command()
def diff(
    first: NameArgument,
    second: NameArgument,
    sop_class: SOPClassOption = "MRImageStorage",
    *,
    json: JsonOption = False,
) -> None:
    """List every attribute that two profiles treat differently.

    Example: deid-node profile diff basic research-mr
    """
    from deid_node.config.profile_file import load_profile
    from deid_node.headers.compare import differences
    from deid_node.headers.plan import name_of

    found = differences(load_profile(first), load_profile(second), sop_class_given(sop_class))
    rows = [
        ("/".join(map(name_of, each.path)), each.first.action.value, each.second.action.value)
        for each in found
    ]
    if json:
        keys = ("attribute", "first", "second")
        say_json({"differences": [dict(zip(keys, row, strict=True)) for row in rows]})
    for attribute, before, after in () if json else rows:
        say(f"{attribute}: {before} → {after}")
    if not rows and not json:
        say(f"{first} and {second} treat every attribute of {sop_class} alike")


@app.command()
def schema() -> None:
    """Print the JSON Schema of profile files, for editors.

    Example: deid-node profile schema > profile.schema.json
    """
    import json as json_text

    from deid_node.config.profile_schema import json_schema

    say(json_text.dumps(json_schema(), indent=2))


@app.command()
def lint(
    file: Annotated[Path, typer.Argument(help="A profile file.")], *, json: JsonOption = False
) -> int:
    """Find all mistakes of a profile file, and what in it does nothing.

    Exits with 78 if the profile cannot be used, with 0 if there are warnings only.

    Example: deid-node profile lint mine.yaml
    """
    from deid_node.config import profile_lint

    found = profile_lint.lint(file)
    kinds = (("error", found.errors), ("warning", found.warnings))
    if json:
        say_json(
            {
                f"{kind}s": [
                    {"line": each.line, "place": each.place, "message": each.message}
                    for each in mistakes
                ]
                for kind, mistakes in kinds
            }
        )
    else:
        for kind, mistakes in kinds:
            for each in mistakes:
                say(f"{kind}: {each.in_file(file.name)}")
        if not found.errors:
            say(f"{file.name} can be used; {len(found.warnings)} warnings")
    return INVALID if found.errors else 0


@app.command("test")
def try_out(
    file: NameArgument,
    instances: Annotated[
        Path | None,
        typer.Option(help="A folder of instances to try it on as well; nothing is written."),
    ] = None,
    *,
    json: JsonOption = False,
) -> int:
    """Try a profile on a made-up MR instance with an identifier in every attribute.

    Exits with 65 if an identifier is left, or one of the instances would be held.

    Example: deid-node profile test mine.yaml
    """
    from deid_node.config.profile_file import load_profile
    from deid_node.headers.plan import name_of
    from deid_node.pipeline.trial import try_profile

    profile, key = load_profile(file), any_key()
    trial = try_profile(profile, key)
    counts = tried(instances, profile, key) if instances else {}
    left = ["/".join(map(name_of, each.path)) for each in trial.survivors]
    meant = {"/".join(map(name_of, e.path)): e.option.value for e in trial.meant if e.option}
    if json:
        say_json(
            {
                "profile": profile.name,
                "planted": trial.n_planted,
                "left": left,
                "kept_by_option": meant,
                "codes": list(trial.codes),
                "instances": counts,
            }
        )
    else:
        say(f"{len(left)} of {trial.n_planted} planted identifiers are left under {profile.name}")
        for attribute in left:
            say(f"  left: {attribute}")
        for attribute, option in meant.items():
            say(f"  kept by {option}: {attribute}")
        for outcome, n in counts.items():
            say(f"{n} instances: {outcome}")
    if left:
        complain(
            f"{profile.name} leaves {len(left)} planted identifiers",
            next_step="`deid-node profile explain ATTRIBUTE` names the rule",
        )
    return LEFT if left or counts.keys() - {DEIDENTIFIED} else 0
