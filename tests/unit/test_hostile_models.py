"""A hostile model is refused in one line: nothing of it runs, nothing of it stays."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deid_node.errors import ForeignModelRefused
from deid_node.face.nnunet.pickles import read_pickle
from tests.fakes.command import run
from tests.fakes.foreign_models import CHECKPOINT, packed, pickle_of, rewrite, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRACE = "trace-of-a-run"


class Calls:
    """Pickles as a call; unpickled by pickle itself, it makes the call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def shell() -> Calls:
    return Calls(os.system, f"touch {TRACE}")


def replace_plans(content: bytes) -> Callable[[Path], Path]:
    def spoil(model: Path) -> Path:
        (model / "plans.pkl").write_bytes(content)
        return model

    return spoil


def in_plans(key: str, value: object) -> Callable[[Path], Path]:
    """Set one key of the plans beside the weights, which are read first."""

    def spoil(model: Path) -> Path:
        for path in model.glob("fold_*/*.pkl"):
            pickled = pickle.loads(path.read_bytes())  # noqa: S301 - our own file
            pickled["plans"][key] = value
            path.write_bytes(pickle.dumps(pickled))
        return model

    return spoil


def in_weights(old: bytes, new: bytes) -> Callable[[Path], Path]:
    """Replace bytes of the checkpoint's pickle; they must be there."""

    def spoil(model: Path) -> Path:
        assert old in pickle_of(model / CHECKPOINT)
        rewrite(
            model / CHECKPOINT,
            lambda name, raw: raw.replace(old, new) if name.endswith("data.pkl") else raw,
        )
        return model

    return spoil


def weights_that_call(model: Path) -> Path:
    hostile = pickle.dumps({"state_dict": shell()}, protocol=2)
    rewrite(model / CHECKPOINT, lambda name, raw: hostile if name.endswith("data.pkl") else raw)
    return model


def old_weights_that_call(model: Path) -> Path:
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"state_dict": shell()})
    (model / CHECKPOINT).write_bytes(b"".join(pickle.dumps(p, protocol=2) for p in parts))
    return model


def weights_not_finite(model: Path) -> Path:
    rewrite(
        model / CHECKPOINT,
        lambda name, raw: b"\xff" * len(raw) if name.endswith("/data/0") else raw,
    )
    return model


def weights_cut_off(model: Path) -> Path:
    whole = (model / CHECKPOINT).read_bytes()
    (model / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    return model


def weights_changed(model: Path) -> Path:
    """Change one byte of the numbers, which the archive's check sums show."""
    whole = bytearray((model / CHECKPOINT).read_bytes())
    whole[len(whole) // 2] ^= 1
    (model / CHECKPOINT).write_bytes(bytes(whole))
    return model


def weights_compressed(model: Path) -> Path:
    rewrite(model / CHECKPOINT, lambda _, raw: raw, compression=zipfile.ZIP_DEFLATED)
    return model


def weights_overlapping(model: Path) -> Path:
    """Let many names of the archive share the same bytes."""
    with zipfile.ZipFile(model / CHECKPOINT, "a") as archive:
        (largest,) = sorted(archive.infolist(), key=lambda m: m.file_size)[-1:]
        for number in range(200):
            again = zipfile.ZipInfo(f"archive/data/9{number}")
            again.file_size = again.compress_size = largest.file_size
            again.CRC, again.header_offset = largest.CRC, largest.header_offset
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        vars(archive)["_didModify"] = True
    return model


def link_to_elsewhere(model: Path) -> Path:
    (model / "fold_1" / "model_best.model").symlink_to("/etc/hostname")
    return model


def endless_pipe(model: Path) -> Path:
    (model / "plans.pkl").unlink()
    os.mkfifo(model / "plans.pkl")
    return model


def archive_with(name: str, content: bytes = b"", mode: int = 0) -> Callable[[Path], Path]:
    def spoil(model: Path) -> Path:
        archive = packed(model, model.parent / "model.zip")
        with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            opened.writestr(member, content, zipfile.ZIP_DEFLATED)
        return archive

    return spoil


def archive_that_says_it_is_encrypted(model: Path) -> Path:
    archive = packed(model, model.parent / "model.zip")
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    archive.write_bytes(bytes(raw))
    return archive


FORGED_OBJECTS = (
    b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    b"(K\x01K\x03\x85cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK?tb\x89C\x18AAAAAAAABBBBBBBBCCCCCCCCtb."
)
"""An array of Python objects whose pointers are bytes of the file."""

HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a shell command": (replace_plans(pickle.dumps(shell())), "names posix.system"),
    "eval": (
        replace_plans(pickle.dumps(Calls(eval, f"open('{TRACE}', 'w')"))),
        "names builtins.eval",
    ),
    "a dotted name": (
        replace_plans(b"\x80\x04\x8c\x05numpy\x8c\x10f2py.os.system_x\x93."),
        "names numpy.f2py.os.system_x",
    ),
    "a name with a bell": (
        replace_plans(b"\x80\x04\x8c\x02os\x8c\x05\x1b[2J\x07\x93."),
        r"names os\.\?\?2J\?",
    ),
    "an instance of any class": (
        replace_plans(b"(S'touch trace-of-a-run'\nios\nsystem\n."),
        "uses INST",
    ),
    "a shell command in the weights": (weights_that_call, "names posix.system"),
    "a shell command in old weights": (old_weights_that_call, "names posix.system"),
    "a shell command in the plans of a fold": (in_plans("x", shell()), "names posix.system"),
    "a forged array of objects": (replace_plans(FORGED_OBJECTS), "plans.pkl is not the mapping"),
    "a key as deep as a stack": (
        replace_plans(b"\x80\x04})" + b"\x85" * 200_000 + b"Ns."),
        "is not a whole pickle",
    ),
    "tensors in the plans": (replace_plans(b"\x80\x02NQ."), "refers to tensors"),
    "a storage that is a path": (
        in_weights(b"X\x01\x00\x00\x000", b"X\x0b\x00\x00\x00/etc/passwd"),
        "is not a whole pickle",
    ),
    "a storage that is not there": (
        in_weights(b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00999"),
        "parts are damaged",
    ),
    "weights that are not finite": (weights_not_finite, "not finite"),
    "weights that break off": (weights_cut_off, "breaks off"),
    "weights with a changed byte": (weights_changed, "damaged"),
    "weights that unpack": (weights_compressed, "compressed or encrypted"),
    "weights that overlap": (weights_overlapping, "holds more than it does"),
    "a link in a folder": (link_to_elsewhere, "holds links"),
    "a pipe in a folder": (endless_pipe, "is no plain file"),
    "a path out of the archive": (archive_with("../../x"), "leads out of its folder"),
    "an absolute path": (archive_with("/etc/x"), "leads out of its folder"),
    "a path of another system": (archive_with("a\\..\\..\\x"), "leads out of its folder"),
    "a link in an archive": (
        archive_with("fold_2", b"/etc", stat.S_IFLNK | 0o777),
        "holds a link",
    ),
    "a bomb": (archive_with("bomb", bytes(64 << 20)), "a hundred times its size"),
    "an encrypted archive": (archive_that_says_it_is_encrypted, "encrypted files"),
    "a name twice": (archive_with("model/plans.pkl"), "two files of one name"),
    "several images": (in_plans("num_modalities", 4), "several images"),
    "a spacing of nothing": (in_plans("transpose_forward", [0, 0, 0]), "transpose_forward"),
    "no shape at all": (
        in_plans("normalization_schemes", {0: np.array([None])}),
        "does not standardise",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_model_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil, expected = HOSTILE[name]
    source = spoil(unpacked(tmp_path / "source"))
    store = tmp_path / "store"

    code = run("weights", "import", source, "--name", "m", "--folder", store, "--accept-licence")

    complaints = [
        line for line in capfd.readouterr().err.splitlines() if line.startswith("deid-node: ")
    ]
    assert code == 65
    assert len(complaints) == 1
    assert re.search(expected, complaints[0]), complaints[0]
    assert "\x1b" not in complaints[0]
    assert not list(tmp_path.rglob(TRACE))
    assert not store.exists() or not list(store.iterdir())


def test_the_hostile_pickles_do_run_when_pickle_itself_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    pickle.loads(pickle.dumps(shell()))  # noqa: S301 - what must never happen

    assert (tmp_path / TRACE).exists()


def test_a_memo_of_two_thousand_million_places_costs_nothing() -> None:
    hostile = b"\x80\x02Nr" + struct.pack("<I", 2**31 - 1) + b"."

    assert read_pickle(io.BytesIO(hostile), what="x") is None


DEEP = b")" + b"\x85" * 200_000


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x80\x04}" + DEEP + b"Ns.",
        b"\x80\x04" + DEEP + b"\x8c\x01x\x93.",
        b"\x80\x04cnumpy\ndtype\n\x8c\x02f8\x85R(K\x03" + DEEP + b"tb.",
        b"\x80\x04cnumpy\ndtype\n" + DEEP + b"R.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x01"
        + DEEP
        + b"tQ.",
    ],
)
def test_tuples_as_deep_as_a_stack_do_not_end_the_process(hostile: bytes) -> None:
    with pytest.raises(ForeignModelRefused, match="not a whole pickle"):
        read_pickle(io.BytesIO(hostile), what="x", storages={})


@pytest.mark.parametrize("length", range(0, 1500, 250))
def test_a_pickle_that_breaks_off_is_refused(tmp_path: Path, length: int) -> None:
    whole = (unpacked(tmp_path) / "plans.pkl").read_bytes()[:length]
    assert len(whole) == length

    with pytest.raises(ForeignModelRefused):
        read_pickle(io.BytesIO(whole), what="plans.pkl")
