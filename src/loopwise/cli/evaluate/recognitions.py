"""``loopwise evaluate`` of a recognizer: how near its transcripts come to what was said."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwise.cli.evaluate.shared import Batch, Invalid, Stream
from loopwise.cli.recognizing import RecognizingGroup, decoding_options
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.codec.speech.metrics import Confusion, SpeechScore
    from loopwise.codec.speech.utterances import Utterances
    from loopwise.runtime.decoding import DecodingOptions
    from loopwise.runtime.recognizer import LoadedRecognizer
    from loopwise.tasks.speech.measure import Heard

RECOGNIZER = "Of a recognizer"


@dataclass(frozen=True)
class RecognitionGroup:
    """How utterances are read and transcribed."""

    invalid: Invalid = None
    batch: Batch = None
    stream: Stream = False
    save_transcripts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was heard there: name of the utterance, a tab, and the text.",
            rich_help_panel=RECOGNIZER,
        ),
    ] = None
    precisions: Annotated[
        bool,
        typer.Option(
            "--precisions",
            help="Tell the error rates with weights in bfloat16 and int8, too.",
            rich_help_panel=RECOGNIZER,
        ),
    ] = False


def evaluate_recognitions(
    path: Path,
    model: "LoadedRecognizer",
    files: list[str],
    options: RecognitionGroup,
    search: RecognizingGroup,
    as_json: bool,
) -> None:
    """Print word, character and sentence error rates, and how fast it was.

    Raises:
        ConfigError: options that do not fit each other or the model.
        DataError: utterances that cannot be read.
        MissingExtraError: what measures is not installed.
    """
    from loopwise.codec.speech.files import read_utterances

    if not files:
        raise ConfigError(f"{path}: {_WANTED}")
    if options.stream and options.batch is not None:
        raise ConfigError("--stream: one utterance at a time: leave out --batch")
    place = options.save_transcripts
    if place is not None and (place.is_dir() or not place.parent.is_dir()):
        raise ConfigError(f"--save-transcripts {place}: not a file in a folder that is there")
    lowered = _lowered(model) if options.precisions else {}
    decoding = decoding_options(search)
    utterances = read_utterances(files, invalid=options.invalid or "error")

    def measured(model: "LoadedRecognizer") -> "tuple[Heard, SpeechScore]":
        return _measured(model, utterances, options, decoding)

    try:
        heard, score = measured(model)
        scores = {dtype: measured(other)[1] for dtype, other in lowered.items()}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    precisions = {"float32": score, **scores} if scores else {}
    kept = heard.utterances
    if place is not None:
        rows = zip(kept, heard.texts, strict=True)
        lines = [f"{utterance.id}\t{text}\n" for utterance, text in rows]
        place.write_text("".join(lines), encoding="utf-8")
    if as_json:
        print(json.dumps(_json(heard, score, precisions), indent=2, ensure_ascii=False))
        return
    print("\n".join(_lines(kept, heard, score)))
    for dtype, found in precisions.items():
        print(f"{dtype:<10} WER {100 * found.wer:.2f} %, CER {100 * found.cer:.2f} %")
    if place is not None:
        print(f"transcripts: {place}")


def _lowered(model: "LoadedRecognizer") -> "dict[str, LoadedRecognizer]":
    """The model in each lower precision; raises ConfigError where it is in one already."""
    from loopwise.export.precision import lower
    from loopwise.runtime.precision import PRECISIONS
    from loopwise.runtime.recognizer import LoadedRecognizer

    lowered = {dtype: lower(model.bundle, dtype, None, math.inf) for dtype in PRECISIONS[1:]}
    return {dtype: LoadedRecognizer(bundle) for dtype, bundle in lowered.items()}


def _measured(
    model: "LoadedRecognizer",
    utterances: "Utterances",
    options: RecognitionGroup,
    decoding: "DecodingOptions",
) -> "tuple[Heard, SpeechScore]":
    from loopwise.codec.speech.metrics import speech_score
    from loopwise.tasks.speech.measure import hear, listen

    invalid = options.invalid or "error"
    if options.stream:
        heard = listen(model, utterances, invalid=invalid, **decoding)
    else:
        heard = hear(model, utterances, invalid=invalid, batch=options.batch or 16, **decoding)
    said = [model.codec.units.normalise(text) for text in heard.utterances.texts]
    return heard, speech_score(heard.texts, said)


_WANTED = "a recognizer of speech: give utterances: a manifest (JSON lines or TSV) or a folder"


def _lines(utterances: "Utterances", heard: "Heard", score: "SpeechScore") -> Iterator[str]:
    dropped = f"; {utterances.dropped}" if utterances.dropped.total else ""
    minutes = heard.audio_seconds / 60
    yield (
        f"{utterances.name}: {len(utterances):,} utterances, {score.words:,} words, "
        f"{minutes:,.1f} minutes{dropped}"
    )
    yield (
        f"WER        {100 * score.wer:.2f} %   {score.substitutions:,} substituted, "
        f"{score.deletions:,} deleted, {score.insertions:,} inserted"
    )
    yield f"CER        {100 * score.cer:.2f} %"
    yield f"sentences  {100 * score.sentence_error_rate:.2f} % with an error"
    if score.confusions:
        yield f"confused   {_confused(score.confusions)}"
    speed = heard.real_time_factor
    yield f"speed      real-time factor {speed:.4f}, {1 / speed:,.0f} times as fast as speech"
    if (lag := heard.latency) is not None:
        yield (
            f"latency    words {lag.mean:.2f} s after their end in the mean, 90 % within "
            f"{lag.ninety:.2f} s"
        )
        yield f"final      {1000 * lag.final:.1f} ms after the last sound in the mean"


def _confused(confusions: "Sequence[Confusion]") -> str:
    return ", ".join(
        f"{each.said or '-'} > {each.heard or '-'} {each.count}x" for each in confusions
    )


def _json(
    heard: "Heard", score: "SpeechScore", precisions: "Mapping[str, SpeechScore]"
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "utterances": len(heard.utterances),
        **asdict(score),
        "audio_seconds": heard.audio_seconds,
        "seconds": heard.seconds,
        "real_time_factor": heard.real_time_factor,
    }
    if heard.latency is not None:
        found["latency"] = asdict(heard.latency)
    if precisions:
        found["precisions"] = {
            dtype: {"wer": each.wer, "cer": each.cer} for dtype, each in precisions.items()
        }
    return found | {"dropped": asdict(heard.utterances.dropped)}
