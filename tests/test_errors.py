"""Errors reach other processes as they are."""

import pickle

import pytest

from ferlab.errors import DataError, FerlabError, MissingExtraError, PluginError, UnknownNameError


@pytest.mark.parametrize(
    "error",
    [
        DataError("a.csv cannot be read."),
        UnknownNameError("model", "vgg61", ["vgg16", "resnet50"]),
        MissingExtraError("ray", "pyarrow"),
        PluginError.at(pytest.main, "a contract"),
    ],
)
def test_an_error_survives_pickling(error: FerlabError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
