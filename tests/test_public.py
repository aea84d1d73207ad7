"""The public face: what `loopwise` exports, and that each name is what it seems."""

import importlib

import pytest

import loopwise
from loopwise import errors


def test_exports_resolve_and_are_listed():
    assert sorted(loopwise.__all__, key=str.lower) == sorted(set(loopwise.__all__), key=str.lower)
    for name in loopwise.__all__:
        assert getattr(loopwise, name).__name__.removeprefix("loopwise.") == name
        assert name in dir(loopwise)


def test_lazy_names_are_exported_and_those_exported_have_a_home():
    lazy = set(loopwise._HOMES)
    assert set(loopwise.__all__) == lazy | {"LoopwiseError", "diagnose"}
    for name, home in loopwise._HOMES.items():
        assert getattr(importlib.import_module(home), name) is getattr(loopwise, name)


def test_the_diagnosis_is_a_package_that_can_be_called():
    import loopwise.diagnose
    from loopwise.diagnose import plots

    assert loopwise.diagnose.plots is plots
    assert callable(loopwise.diagnose)


def test_a_name_is_resolved_once():
    first = loopwise.LSTM
    assert vars(loopwise)["LSTM"] is first is loopwise.LSTM


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'loopwise' has no attribute 'LTSM'"):
        _ = loopwise.LTSM
    assert not hasattr(loopwise, "LTSM")


def test_the_version_is_that_of_the_package():
    assert importlib.metadata.version("loopwise") == loopwise.__version__


def test_every_error_is_one_of_ours_and_of_a_builtin_kind():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in set(kinds) - {errors.LoopwiseError, errors.DataWarning}:
        assert issubclass(kind, errors.LoopwiseError)
        assert issubclass(kind, ValueError | OSError | ImportError | RuntimeError)
        assert kind.__name__ in errors.__doc__


def test_a_missing_module_that_no_extra_brings_is_not_hidden():
    error = ModuleNotFoundError("No module named 'surprise'", name="surprise")
    with pytest.raises(ModuleNotFoundError, match="surprise"):
        errors.missing_extra(error, "this")
    error = ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    assert errors.missing_extra(error, "this").extra == "train"
