"""``deid-node weights``: face models that are at hand, and those that others trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import complain, progress, say, say_json, say_table
from deid_node.errors import ModelUnknown

if TYPE_CHECKING:
    from deid_node.node.models.store import Licence

app = typer.Typer(help="Face models.", no_args_is_help=True)

USAGE = 64
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where imported models are kept. Default: deid-node/models in the user's data folder.",
        show_default=False,
    ),
]
NameArgument = Annotated[str, typer.Argument(help="A model's NAME.", metavar="NAME")]


@app.command("list")
def list_models(folder: FolderOption = None, *, json: JsonOption = False) -> None:
    """List the model that comes with the project, and those that were imported.

    Example: deid-node weights list
    """
    from deid_node.face.weights import card_of
    from deid_node.node.models.store import DEFAULT, imported_models

    cards = [card_of(_place(name, folder)) for name in (DEFAULT, *imported_models(_models(folder)))]
    if json:
        say_json({"models": [_brief(card) for card in cards]})
        return
    say_table(
        ("name", "version", "origin", "folds"),
        [(b["name"], b["version"], b["origin"], str(b["folds"])) for b in map(_brief, cards)],
    )


@app.command()
def show(name: NameArgument, folder: FolderOption = None, *, json: JsonOption = False) -> None:
    """Show a model's card: where it is from, what its network is given, its terms.

    Example: deid-node weights show default
    """
    import json as text

    from deid_node.face.weights import card_of

    place = _place(name, folder)
    card = card_of(place)
    if json:
        say_json({"folder": str(place), "card": card})
        return
    say(f"{place}")
    say(text.dumps({k: v for k, v in card.items() if k != "sha256"}, indent=1))


@app.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A model's NAME. Default: the model of the settings.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Check a model's files against the digests of its card.

    Example: deid-node weights verify
    """
    from deid_node.config.face_models import model_folder
    from deid_node.face.weights import read_card

    card = read_card(_place(name, folder) if name else model_folder(settings_from(config).face))
    if json:
        say_json({"name": card.name, "version": card.version, "sha256": card.sha256})
    else:
        say(f"{card.name} {card.version} is whole, digest {card.sha256[:16]}")


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(help="Folder or zip of a model of nnU-Net v1 or nnunetv2.", metavar="PATH"),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="What the model is called from now on. Default: as PATH is, in small letters.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        Path | None,
        typer.Option(
            "--licence",
            help="File with the model's terms. Default: the LICENCE among its files.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="A known trainer: you vouch that the model's own has its network and predictor.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="What its labels mean, like 'face=1,2 ears=3'. Default: each is face and ears.",
            show_default=False,
        ),
    ] = None,
    orientation: Annotated[
        str | None,
        typer.Option(
            help="Array order of its training images: dcm2niix, slices, or letters such as LAS.",
            show_default=False,
        ),
    ] = None,
    folder: FolderOption = None,
    *,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the terms and keep to them.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring a model that others trained with nnU-Net; nothing in its files is run.

    Example: deid-node weights import paper-model.zip --name paper --accept-licence
    """
    from deid_node.face.array_order import is_orientation
    from deid_node.node.models.store import Told, find_licence, import_model, is_name, name_of

    name = name_of(path) if name is None else name
    if not is_name(name):
        raise typer.BadParameter(
            "a model's name has 1 to 40 of a-z, 0-9, '.', '_', '-', and is not 'default'",
            param_hint="--name",
        )
    if orientation is not None and not is_orientation(orientation):
        raise typer.BadParameter(
            "dcm2niix, slices, or three letters, one of each of RL, AP and SI",
            param_hint="--orientation",
        )
    face, ears = _labels(labels)
    told = Told(like=like, face=face, ears=ears, orientation=orientation)
    terms = find_licence(path, licence)
    _show_terms(terms)
    if not accept_licence:
        complain(
            "the terms of the model are not accepted; nothing was imported",
            next_step="read them, ask its authors where they are missing, and add --accept-licence",
        )
        raise typer.Exit(USAGE)
    card = import_model(path, name=name, folder=_models(folder), licence=terms, told=told)
    if json:
        say_json({"folder": str(_models(folder) / name), "card": card})
        return
    say(
        f"imported {name} {card['version']}: {card['origin']}, folds: {len(card['input']['folds'])}"
    )
    say(f"its folder is {_models(folder) / name}")


@app.command()
def remove(name: NameArgument, folder: FolderOption = None, *, json: JsonOption = False) -> None:
    """Delete an imported model.

    Example: deid-node weights remove paper
    """
    from deid_node.node.models.store import remove_model

    remove_model(name, _models(folder))
    if json:
        say_json({"removed": name})
    else:
        say(f"removed {name}")


@app.command()
def bench(
    name: NameArgument,
    accuracy: Annotated[
        str, typer.Option(help="How much work it puts into the head: exact, balanced or fast.")
    ] = "fast",
    folds: Annotated[int, typer.Option(min=0, help="Folds that are asked; 0 asks all.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, or a GPU: cuda or cuda:1.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes all.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="Time that it may take.")] = 21600,
    voxels: Annotated[int, typer.Option(min=16, max=512, help="Edge of the drawn head.")] = 256,
    folder: FolderOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Measure what an imported model costs on this machine, on a drawn head.

    Example: deid-node weights bench paper --accuracy fast
    """
    import re
    from dataclasses import asdict

    from deid_node.config.setting_types import DEVICE
    from deid_node.face.nnunet.effort import EFFORTS
    from deid_node.node.models.bench import measure
    from deid_node.node.models.inference import ModelRun

    if not re.fullmatch(DEVICE, device):
        raise typer.BadParameter("cpu, cuda or cuda:1", param_hint="--device")
    if accuracy not in EFFORTS:
        raise typer.BadParameter("exact, balanced or fast", param_hint="--accuracy")
    how = ModelRun(accuracy=accuracy, folds=folds, device=device, threads=threads)
    cost = measure(_place(name, folder), how, seconds=seconds, edge=voxels)
    if json:
        say_json({"name": name, "accuracy": accuracy, **asdict(cost)})
        return
    shape = " x ".join(str(n) for n in cost.voxels)
    say(f"{name}, {accuracy}, a head of {shape} voxels: {cost.cpu_seconds} CPU-seconds,")
    say(f"{cost.seconds} s in all, {cost.peak_mib} MiB at most; loading is in all of them")


@app.command()
def export(
    name: NameArgument,
    nnunetv2: Annotated[
        Path, typer.Option("--nnunetv2", help="Folder to be made.", metavar="FOLDER")
    ],
    folder: FolderOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Write an imported model as the folder that nnunetv2's own predictor loads.

    Example: deid-node weights export paper --nnunetv2 ./paper-v2
    """
    from deid_node.face.weights import card_of
    from deid_node.node.models.export import export_nnunetv2

    place = _place(name, folder)
    folds = export_nnunetv2(place, nnunetv2)
    if card_of(place)["origin"] != "nnunetv2":
        progress.print(
            "nnunetv2 makes another mask of these weights than nnU-Net v1 did: see docs/paper-model.md",
            markup=False,
            soft_wrap=True,
        )
    if json:
        say_json({"folder": str(nnunetv2), "folds": folds})
    else:
        say(f"wrote {nnunetv2}, folds: {len(folds)}")


def _labels(said: str | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read what labels mean, like ``face=1,2 ears=3``."""
    import re

    if said is None:
        return (), ()
    if not re.fullmatch(r"(?:(?:^| )(?:face|ears)=\d{1,3}(?:,\d{1,3})*){1,2}", said):
        raise typer.BadParameter("like 'face=1,2 ears=3'", param_hint="--labels")
    parts = dict(part.split("=") for part in said.split(" "))
    face, ears = (
        tuple(int(n) for n in parts[key].split(",")) if key in parts else ()
        for key in ("face", "ears")
    )
    return face, ears


def _models(folder: Path | None) -> Path:
    from deid_node.config.models import models_folder

    return folder or models_folder()


def _place(name: str, folder: Path | None) -> Path:
    """Find a model's folder by its name."""
    from deid_node.face.weights import default_weights
    from deid_node.node.models.store import DEFAULT, is_name

    if name == DEFAULT:
        return default_weights()
    if not is_name(name) or not (_models(folder) / name).is_dir():
        raise ModelUnknown(name=name)
    return _models(folder) / name


def _brief(card: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": card["name"],
        "version": card["version"],
        "origin": card.get("origin", "deid-node"),
        "folds": len(card.get("input", {}).get("folds", [0])),
    }


def _show_terms(terms: Licence) -> None:
    if not terms.text:
        progress.print("no licence is among the model's files", markup=False, soft_wrap=True)
        return
    progress.print(f"the model's terms, {terms.file}:", markup=False, soft_wrap=True)
    progress.print(terms.text, markup=False, soft_wrap=True)
