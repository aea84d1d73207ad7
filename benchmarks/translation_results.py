"""Translation of Multi30k, from training to BLEU on its test part.

    python benchmarks/translation_results.py de-en [SECTION.KEY=VALUE ...]
    python benchmarks/translation_results.py en-de
    python benchmarks/translation_results.py wait-3    # DE-EN word by word, beside the same offline
    python benchmarks/translation_results.py tatoeba   # EN-DE, sentences of another kind

The data are found through LOOPWISE_DATA: the folder multi30k/tok, lowercased and tokenised text,
whose BLEU is taken without another tokenizer; tatoeba/deu-eng-2018-04-07.txt.gz, of which 1,000
pairs are taken to test and 20,000 of others to learn from. OUT names a folder that keeps the runs.
"""

import os
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from published import data

from loopwise.codec.pair_files import read_pairs, read_parallel
from loopwise.codec.pairs import Pairs
from loopwise.codec.translation_metrics import Tokenize, average_lagging, translation_score
from loopwise.runtime.load import load
from loopwise.runtime.translator import LoadedTranslator
from loopwise.tasks.translation.config import TranslationConfig
from loopwise.tasks.translation.training import train


def pairs(part: str, source: str, target: str) -> Pairs:
    start = f"multi30k/tok/{part}.lc.norm.tok"
    return read_parallel(data(f"{start}.{source}"), data(f"{start}.{target}"))


def learn(name: str, settings: list[str], *parts: Pairs) -> LoadedTranslator:
    out = Path(os.environ.get("OUT") or tempfile.mkdtemp()) / name
    begin = time.monotonic()
    train(TranslationConfig.load(None, settings), out, *parts, overwrite=True)
    print(f"training: {time.monotonic() - begin:.0f} s")
    return load(out)


def fit(name: str, source: str, target: str, settings: list[str]) -> LoadedTranslator:
    return learn(name, settings, *(pairs(part, source, target) for part in ("train", "val")))


def measure(
    name: str, hypotheses: list[str], references: list[str], tokenize: Tokenize = "none"
) -> None:
    found = translation_score(hypotheses, references, tokenize=tokenize)
    print(f"{name}: BLEU {found.bleu:.2f}, chrF {found.chrf:.2f}")
    print(f"  {found.bleu_signature}\n  {found.chrf_signature}")


def offline(model: LoadedTranslator, source: str, target: str) -> None:
    for part in ("val", "test_2016_flickr"):
        held = pairs(part, source, target)
        for beam, name in ((1, "greedy"), (5, "beam 5")):
            begin = time.monotonic()
            found = model.translate(held.sources, beam_size=beam)
            seconds = time.monotonic() - begin
            measure(f"{source}-{target} {part} {name}", found, held.targets)
            print(f"  {len(held) / seconds:.0f} sentences a second")


def word_by_word(model: LoadedTranslator, wait: int) -> None:
    for part in ("val", "test_2016_flickr"):
        held = pairs(part, "de", "en")
        stream = model.stream(wait)
        found: list[str] = []
        lagging: list[float] = []
        for source in held.sources:
            found.append(stream.translate(source))
            if stream.delays:
                lagging.append(average_lagging(stream.delays, len(source.split())))
        measure(f"wait-{wait} {part}", found, held.targets)
        print(f"  average lagging {np.mean(lagging):.2f} words")


def tatoeba(settings: list[str]) -> None:
    every = read_pairs(data("tatoeba/deu-eng-2018-04-07.txt.gz"))
    order = list(range(len(every)))
    random.Random(1).shuffle(order)
    test = every.choose(order[:1000])
    sources, targets = set(test.sources), set(test.targets)
    others = (
        i
        for i in order[1000:]
        if every.sources[i] not in sources and every.targets[i] not in targets
    )
    model = learn("tatoeba", settings, every.choose(list(islice(others, 20_000))))
    measure("tatoeba, beam 5", model.translate(test.sources), test.targets, "13a")


def main() -> None:
    task, *settings = sys.argv[1:] or [""]
    if task in ("de-en", "en-de"):
        source, target = task.split("-")
        offline(fit(task, source, target, settings), source, target)
    elif task == "tatoeba":
        tatoeba(settings)
    elif task.startswith("wait-") and task[5:].isdecimal():
        wait = int(task[5:])
        waiting = [f"model.wait={wait}", "model.bidirectional=false"]
        word_by_word(fit(task, "de", "en", [*waiting, *settings]), wait)
        offline(fit("same-size", "de", "en", ["model.bidirectional=false", *settings]), "de", "en")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
