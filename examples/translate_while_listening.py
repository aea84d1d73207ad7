"""Translation word by word: how long must one listen before one speaks?

    python examples/translate_while_listening.py

In German the verb may come last, in English it does not. A translator that waits for k words is
trained and judged for several k: whoever speaks too early guesses the verb. At the end one sentence
is translated while it is being said.
"""

import itertools
import os
import random
from pathlib import Path

import loopwise
from loopwise.codec.translation_metrics import latency, translation_score

STEPS = int(os.environ.get("STEPS", 0))  # 0 for all of 12 epochs
OUT = Path(os.environ.get("OUT", "runs/translate-while-listening"))
WAITS = (1, 2, 4, 6)

# %% A small language: who, will or can or must, which, what, and the verb

PEOPLE = {"ich": "i", "er": "he", "sie": "she"}
MOODS = {"will": "would like to", "kann": "can", "muss": "must"}
KINDS = {"alten": "old", "großen": "big", "kleinen": "small", "neuen": "new", "roten": "red"}
THINGS = {"ball": "ball", "baum": "tree", "brief": "letter", "hund": "dog", "tisch": "table"}
VERBS = {"finden": "find", "kaufen": "buy", "malen": "paint", "sehen": "see", "suchen": "seek"}

pairs = [
    (
        f"{person} {mood} den {kind} {thing} {verb}",
        f"{PEOPLE[person]} {MOODS[mood]} {VERBS[verb]} the {KINDS[kind]} {THINGS[thing]}",
    )
    for person, mood, kind, thing, verb in itertools.product(PEOPLE, MOODS, KINDS, THINGS, VERBS)
]
random.Random(1).shuffle(pairs)
learned, unseen = pairs[:600], pairs[600:700]

# %% A translator for each k, and what it makes of sentences that it has not seen

SMALL = {"unit": "words", "embedding_size": 32, "hidden_size": 64, "bidirectional": False}
SMALL |= {"epochs": 12, "max_steps": STEPS, "batch_tokens": 500, "lr": 0.01, "threads": 1}
OUT.mkdir(parents=True, exist_ok=True)
print("waits for   BLEU   words behind")
for wait in WAITS:
    model = loopwise.Translator(wait=wait, **SMALL)
    model.fit(learned).save(OUT / f"wait-{wait}.safetensors")
    stream = model.stream()
    said, delays = [], []
    for source, _ in unseen:
        said.append(" ".join([*stream.push(source), *stream.finish()]))
        delays.append(stream.delays)
    references = [target for _, target in unseen]
    bleu = translation_score(said, references).bleu
    lengths = [[len(side.split()) for side in sides] for sides in zip(*unseen, strict=True)]
    lag = latency(delays, *lengths).average_lagging if any(delays) else float("nan")
    print(f"{wait:9}  {bleu:5.1f}   {lag:12.1f}")

# %% One sentence as it is being said, by a model that needs no torch any more

stream = loopwise.load(OUT / "wait-2.safetensors").stream()
for word in ["sie", "muss", "den", "alten", "tisch", "kaufen"]:
    print(f"{word:8}", *stream.push(word))
print(f"{'':8}", *stream.finish())
