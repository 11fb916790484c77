"""The machine that runs nothing reads what pickle writes, in every protocol."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from deid_node.face.nnunet.names import Array
from deid_node.face.nnunet.pickles import read_pickle


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_are_read_as_pickle_reads_them(protocol: int) -> None:
    array = np.arange(6.0).reshape(2, 3)
    values = {
        "numbers": [0, -1, 255, 70000, 2**70, 1.5, True, None],
        "words": ("é", b"\xff", ""),
        "inner": OrderedDict(a={1: (2,)}),
        "factory": defaultdict(list, {3: [4]}),
        "scalars": [np.float32(2.5), np.int64(-7), np.bool_(True)],  # noqa: FBT003 - a value
    }
    arrays = [array, np.asfortranarray(array), array.astype(">i2"), np.zeros((0, 3))]
    if protocol < 2:
        del values["inner"], values["factory"], values["scalars"], values["words"]
        arrays = []

    pickled = pickle.dumps({"values": values, "arrays": arrays}, protocol)
    found = read_pickle(io.BytesIO(pickled), what="x")

    assert found["values"] == values
    for each, expected in zip(found["arrays"], arrays, strict=True):
        assert isinstance(each, Array)
        assert each.values is not None
        np.testing.assert_array_equal(each.values, expected)


def test_a_set_comes_as_a_list() -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps([{1}, frozenset({2})], protocol)
        assert read_pickle(io.BytesIO(pickled), what="x") == [[1], [2]]
