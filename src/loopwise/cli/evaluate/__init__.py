"""``loopwise evaluate``: how well a model predicts files, or does its task."""

from typing import Annotated

import typer

from loopwise.cli.evaluate.forecasts import SeriesGroup, evaluate_forecasts
from loopwise.cli.evaluate.recognitions import RecognitionGroup, evaluate_recognitions
from loopwise.cli.evaluate.sequences import SequenceGroup, evaluate_sequences
from loopwise.cli.evaluate.text import TextGroup, evaluate_text
from loopwise.cli.evaluate.translations import TranslationGroup, evaluate_translations
from loopwise.cli.grouping import grouped, refuse
from loopwise.cli.model import (
    KINDS,
    is_language_model,
    is_recognizer,
    is_translator,
    open_model_before,
)
from loopwise.cli.options import Json, Model
from loopwise.cli.pairs import PairGroup
from loopwise.cli.recognizing import RecognizingGroup
from loopwise.cli.searching import SearchGroup
from loopwise.cli.tables import is_forecaster


@grouped
def evaluate(
    model: Model,
    *,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="For a language model: files, folders, globs, .gz, or - for standard input. For a "
            "forecaster: one table. For a translator: pairs, TSV or JSON lines. For a recognizer: "
            "manifests or folders.",
        ),
    ] = None,
    as_json: Json = False,
    text: TextGroup,
    series: SeriesGroup,
    recognizing: RecognitionGroup,
    pairs: PairGroup,
    translating: TranslationGroup,
    search: SearchGroup,
    seeking: RecognizingGroup,
    drawing: SequenceGroup,
) -> None:
    """How well a model predicts files, or does its task.

    Of a text it says perplexity: each file is read from its first to its last token. Bits per
    character and byte can be compared between models of any unit, where no token is unknown;
    perplexity is per token. A forecaster stands beside forecasts that need no training, on the
    last part of each series. A translator's translations are compared with those given, a
    recognizer's transcripts with what was said. A run of a synthetic task takes no files: its
    sequences are drawn anew.
    """
    files = files or []
    loaded = open_model_before(files, model, "evaluate")
    kind = loaded.bundle.task
    groups = {
        "language-model": [text],
        "forecaster": [series],
        "translator": [pairs, translating, search],
        "recognizer": [recognizing, seeking],
        "sequence-model": [drawing],
    }
    others = [group for other, own in groups.items() if other != kind for group in own]
    refuse(f"{model}: {KINDS[kind]}", others, groups[kind])
    if is_language_model(loaded):
        evaluate_text(model, loaded, files, text, as_json)
    elif is_forecaster(loaded):
        evaluate_forecasts(model, loaded, files, series, as_json)
    elif is_translator(loaded):
        evaluate_translations(model, loaded, files, pairs, translating, search, as_json)
    elif is_recognizer(loaded):
        evaluate_recognitions(model, loaded, files, recognizing, seeking, as_json)
    else:
        evaluate_sequences(model, loaded, files, drawing, as_json)
