"""What is imported when: deployment needs no torch, and an absent extra is named."""

import subprocess
import sys

import pytest

from loopwise.runs import Run
from loopwise.tasks.synthetic.config import CONFIGS
from runtime.tiny import loaded, sequence_model

HEAVY = """
import sys
heavy = {"torch", "lightning", "lightning_fabric", "tokenizers"} & sys.modules.keys()
sys.exit(f"imported: {sorted(heavy)}" if heavy else 0)
"""
CALL = """
import sys
from loopwise.cli import main

def call(*args):
    sys.argv = ["loopwise", *args]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (args, end.code)
"""
BLOCK = "import sys\nsys.modules[{!r}] = None  # an import of it now fails\n"


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "b.safetensors"
    loaded().save(path)
    return str(path)


@pytest.fixture
def run(tmp_path) -> str:
    """A run of a synthetic task, as training would have left it."""
    config = CONFIGS["adding"].load(None, ["data.length=4", "data.valid_sequences=9"])
    run = Run.create(tmp_path / "run")
    run.write_config(config.to_toml())
    sequence_model(input_size=2, output_size=1).save(run.bundle_path)
    return str(run.path)


def test_importing_loopwise_imports_nothing_heavy():
    code = "import sys, loopwise; dir(loopwise)\nassert 'numpy' not in sys.modules\n"
    done = python(code + HEAVY)
    assert done.returncode == 0, done.stderr


def test_panels_of_arrays_need_no_library_of_tables():
    code = """
import sys
import numpy as np
import loopwise.codec.series.files, loopwise.codec.series.output, loopwise.codec.series.table
from loopwise.codec.series.calendar import calendar
from loopwise.codec.series.samples import sunspots
panel = sunspots().panel()
calendar(panel.frequency, panel.stamps_after(3), "UTC")
libraries = {"narwhals", "polars", "pandas", "pyarrow", "holidays", "scipy"} & sys.modules.keys()
sys.exit(f"imported: {sorted(libraries)}" if libraries else 0)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_commands_that_run_a_bundle_import_nothing_heavy(bundle, run, tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("a line\n")
    copy, low, other = (str(tmp_path / f"{name}.safetensors") for name in "clo")
    commands = [
        ["--help"],
        ["--version"],
        ["train", "lm", "--help"],
        ["config", "lm"],
        ["generate", bundle, "--length", "3"],
        ["score", bundle, str(text)],
        ["score", bundle, str(text), "--tokens"],
        ["evaluate", bundle, str(text)],
        ["evaluate", bundle, str(text), "--json", "--cache", "5"],
        ["export", bundle, copy],
        ["export", bundle, low, "--dtype", "int8", "--limit", "9", "--measure-on", str(text)],
        ["train", "adding", "--help"],
        ["config", "delayed-recall"],
        ["evaluate", run],
        ["export", run, other, "--dtype", "int8", "--limit", "9"],
    ]
    code = CALL + f"for command in {commands!r}:\n    call(*command)\n"
    done = python(code + HEAVY)
    assert done.returncode == 0, done.stderr
    assert "Usage: loopwise" in done.stdout


def test_the_check_can_fail():
    done = python("import loopwise\nloopwise.LSTM\n" + HEAVY)
    assert done.returncode == 1
    assert "imported: ['torch']" in done.stderr


@pytest.mark.parametrize(
    ("absent", "statement", "message"),
    [
        (
            "torch",
            "loopwise.LSTM",
            "loopwise.LSTM needs more packages: pip install 'loopwise[train]'",
        ),
        (
            "torch",
            "loopwise.LanguageModel().fit('a text')",
            "LanguageModel.fit needs more packages: pip install 'loopwise[train]'",
        ),
        (
            "lightning_fabric",
            "loopwise.LanguageModel().fit('a text')",
            "LanguageModel.fit needs more packages: pip install 'loopwise[train]'",
        ),
        (
            "torch",
            (
                "import polars; "
                "loopwise.Forecaster(2).fit(polars.DataFrame({'ds': range(9), 'y': [1.0] * 9}))"
            ),
            "Forecaster.fit needs more packages: pip install 'loopwise[train]'",
        ),
        (
            "tokenizers",
            "from loopwise.codec.text import train_codec; train_codec('bpe', [])",
            "The codec 'bpe' needs more packages: pip install 'loopwise[text]'",
        ),
        (
            "sacrebleu",
            "from loopwise.codec.translation_metrics import *; translation_score(['a'], ['a'])",
            "Measuring translations needs more packages: pip install 'loopwise[text]'",
        ),
        (
            "torch",
            "loopwise.Recognizer().fit('a.jsonl')",
            "Recognizer.fit needs more packages: pip install 'loopwise[train]'",
        ),
        (
            "soundfile",
            "from loopwise.codec.audio.files import read_audio; read_audio('a.wav')",
            "Reading audio needs more packages: pip install 'loopwise[speech]'",
        ),
        (
            "jiwer",
            "from loopwise.codec.speech.metrics import speech_score; speech_score(['a'], ['a'])",
            "Measuring recognised text needs more packages: pip install 'loopwise[speech]'",
        ),
        *(
            (
                package,
                "from loopwise.codec.series.table import panel_from_table; panel_from_table(0)",
                "Reading tables needs more packages: pip install 'loopwise[forecast]'",
            )
            for package in ("narwhals", "polars")
        ),
        (
            "polars",
            "from loopwise.codec.series.files import read_table; read_table('-')",
            "Reading tables needs more packages: pip install 'loopwise[forecast]'",
        ),
        (
            "holidays",
            (
                "import numpy as np; from loopwise.codec.series.calendar import *; "
                "calendar(Frequency('day'), np.zeros(1, 'M8[us]'), country='DE')"
            ),
            "The calendar of holidays needs more packages: pip install 'loopwise[forecast]'",
        ),
    ],
)
def test_an_absent_package_names_the_extra(absent, statement, message):
    code = (
        f"import loopwise\ntry:\n    {statement}\nexcept ImportError as error:\n    print(error)\n"
    )
    done = python(BLOCK.format(absent) + code)
    assert done.stdout.strip() == message, done.stderr


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("torch", ["train", "lm", "--out", "OUT", "--data", "TEXT"], "train"),
        ("lightning_fabric", ["train", "lm", "--out", "OUT", "--data", "TEXT"], "train"),
        (
            "tokenizers",
            ["train", "lm", "--out", "OUT", "--data", "TEXT", "--set", "data.unit=bpe"],
            "text",
        ),
        ("torch", ["train", "adding", "--out", "OUT"], "train"),
        ("torch", ["evaluate", "BUNDLE", "TEXT", "--dynamic"], "train"),
    ],
)
def test_a_command_without_its_package_says_what_to_install(
    absent, arguments, extra, bundle, tmp_path
):
    (tmp_path / "a.txt").write_text("a line\n" * 99)
    names = {"OUT": str(tmp_path / "run"), "TEXT": str(tmp_path / "a.txt"), "BUNDLE": bundle}
    given = [names.get(argument, argument) for argument in arguments]
    done = python(BLOCK.format(absent) + CALL + f"sys.argv = {['loopwise', *given]!r}\nmain()\n")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(f"needs more packages: pip install 'loopwise[{extra}]'\n")
    assert not (tmp_path / "run").exists()
