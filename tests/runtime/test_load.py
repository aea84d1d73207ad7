"""From a file to a model that runs, and back."""

import dataclasses

import numpy as np
import pytest

from loopwise.errors import BundleError
from loopwise.runtime.bundle import write_bundle
from loopwise.runtime.load import load
from runtime.tiny import CODECS, bundle, loaded


@pytest.mark.parametrize("codec", CODECS)
def test_a_saved_model_is_the_same_model(tmp_path, codec):
    model = loaded(codec)
    model.save(tmp_path / "bundle.safetensors")
    for path in (tmp_path, tmp_path / "bundle.safetensors", str(tmp_path)):
        again = load(path)
        np.testing.assert_array_equal(again.stream().push(1), model.stream().push(1))
    assert again.info == {"epochs": 3}
    assert again.codec.to_json() == model.codec.to_json()
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "bundle.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"task": "forecast"}, "task 'forecast' is unknown"),
        ({"codec": {}}, "codec format"),
        ({"codec": {"format": 1, "unit": "runes"}}, "unit 'runes'"),
        ({"codec": {"format": 1, "unit": "chars"}}, "characters"),
        ({"codec": {"format": 1, "unit": "chars", "characters": 7}}, "characters"),
        ({"codec": {"format": 1, "unit": ["bytes"]}}, "unit"),
        ({"codec": CODECS["chars"].to_json()}, "codec has 10 tokens, the model 256"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, match):
    path = tmp_path / "b"
    write_bundle(path, dataclasses.replace(bundle(), **changes))
    with pytest.raises(BundleError, match=match) as caught:
        load(path)
    assert str(path) in str(caught.value)
