"""Our own output, changed in one place, and what verification remarks of it."""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import TYPE_CHECKING

import pydicom
from pydicom import Dataset

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.verification.checks import Remark, Severity
from deid_node.headers.verification.verifier import Verifier
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILES = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
OURS = Pseudonyms(bytes(range(32)))
NAME = "2.25.1.dcm"


@cache
def scrubbed(profile: str) -> bytes:
    source = written(mr_instance())
    return HeaderScrubber(load_profile(profile), OURS).run(source).encoded.part10


def remarks(*files: bytes, names: tuple[str, ...] = ()) -> set[Remark]:
    verifier = Verifier()
    for number, file in enumerate(files):
        verifier.look(names[number] if names else f"2.25.{number}.dcm", file)
    return {remark for _, remark in verifier.finish()}


def grave(found: set[Remark]) -> set[Remark]:
    return {remark for remark in found if remark.severity is not Severity.NOTE}


def changed(change: Callable[[Dataset], None], profile: str = "basic") -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(scrubbed(profile)))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(dataset)
        pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def add(tag: int, vr: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: dataset.add_new(tag, vr, value)


def meta(tag: int, vr: str, value: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.file_meta.add_new(tag, vr, value)

    return change


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def code(value: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        entry = Dataset()
        entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, "DCM", "an option"
        dataset.DeidentificationMethodCodeSequence.append(entry)

    return change


def both(*changes: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for each in changes:
            each(dataset)

    return change


def referring(uid: str) -> Dataset:
    entry = Dataset()
    entry.ReferencedSOPInstanceUID = uid
    return entry
