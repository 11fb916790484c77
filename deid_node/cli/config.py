"""``deid-node config``: the settings file, checked and explained."""

from __future__ import annotations

import json as json_text

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json

app = typer.Typer(help="The settings file.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Check settings, profile, key and weights without starting anything.

    Example: deid-node config check --config deid-node.toml
    """
    from deid_node.config.recipes import recipes_from
    from deid_node.node.models.inference import inference_apart
    from deid_node.node.patients import with_patients_named

    settings = settings_from(config)
    recipes = recipes_from(settings, segmenter=inference_apart)
    digests = {face: with_patients_named(each).digest for face, each in recipes.items()}
    if json:
        told = [
            {"model": face.model, "accuracy": face.accuracy, "folds": face.folds, "digest": digest}
            for face, digest in digests.items()
        ]
        say_json({"recipes": told})
    else:
        different = dict.fromkeys(digest[:16] for digest in digests.values())
        say(f"settings are valid; recipe {', '.join(different)}")


@app.command()
def show(config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Print the settings in force, defaults included. Secrets are paths, never values.

    Example: deid-node config show --json
    """
    resolved = settings_from(config).model_dump(mode="json")
    if json:
        say_json({"settings": resolved})
    else:
        say(json_text.dumps(resolved, indent=2))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors.

    Example: deid-node config schema > deid-node.schema.json
    """
    from deid_node.config.schema import Settings

    say(json_text.dumps(Settings.model_json_schema(), indent=2))
