# %% [markdown]
# The sea off Peru with polars: a year ahead, and months that nobody expected.
#
#     python examples/forecast_polars.py
#
# The cells run in any editor that knows `# %%`, or as a whole. STEPS=20 in the environment makes
# the training short, for a look.

# %%
import os
from datetime import date
from pathlib import Path

import polars as pl

import loopwise
from loopwise.datasets import sample

STEPS = int(os.environ.get("STEPS", "150"))
OUT = Path(os.environ.get("OUT", "runs/sea"))
OUT.mkdir(parents=True, exist_ok=True)

sea = sample("sea-temperature").to_polars()  # a row a month, columns ds and y
before = sea.filter(pl.col("ds") < date(1990, 1, 1))
after = sea.filter(pl.col("ds") >= date(1990, 1, 1))

# %% [markdown]
# The model learns from the months up to 1989. Ten years of these choose the best step and make
# intervals right; the network is not fitted to them.

# %%
model = loopwise.Forecaster(
    horizon=12,
    input_size=32,
    hidden_size=32,
    decoder_size=32,
    members=3,  # networks, averaged
    valid=120,
    max_steps=STEPS,
    threads=1,
)
model.fit(before)

# %% [markdown]
# Twenty-one forecasts of a year, from 1990 on, each from all that came before it.

# %%
measures = model.evaluate(sea, windows=21)
print(measures.select("model", pl.col("mae", "mase", "coverage_80").round(2)))

# %% [markdown]
# Now month by month, as they come: a stream says after each observation how far it lay from what
# was expected of it, and how unusual that is among the ten years.

# %%
stream = model.stream(h=1)  # continues the months up to 1989
told = []
for stamp, value in after.iter_rows():
    update = stream.update(value)
    told.append((stamp.date(), value, update.score.item(), update.p_value.item()))
months = pl.DataFrame(told, schema=["month", "y", "score", "p_value"], orient="row")
print(months.sort("score", descending=True).head(8))

# %% [markdown]
# The warm surprises are those of El Niño in 1997 and 1998. The chance of a month above 27 degrees
# within the year after the table is a question about paths, not about single months.

# %%
paths = model.simulate(200, df=sea, seed=1).select(pl.selectors.contains("path"))
warmest = paths.max().transpose().to_series()
print(f"a month above 27 degrees: {(warmest > 27).mean():.0%}")

# %% [markdown]
# For use elsewhere: one file, read without torch. A table with holes is taken, too: `mask` leaves
# missing months unknown, and warns.

# %%
model.save(OUT / "sea.safetensors")
loaded = loopwise.load(OUT / "sea.safetensors")
holes = sea.filter(pl.int_range(pl.len()) % 50 != 7)
print(loaded.predict(holes, 3, level=80, missing="mask"))
