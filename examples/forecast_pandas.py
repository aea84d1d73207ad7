# %% [markdown]
# Sunspots with pandas: a cycle that keeps no exact time.
#
#     python examples/forecast_pandas.py
#
# The cells run in any editor that knows `# %%`, or as a whole. STEPS=20 in the environment makes
# the trainings short, for a look.

# %%
import os
from pathlib import Path

import loopwise
from loopwise.datasets import sample

STEPS = int(os.environ.get("STEPS", "150"))
OUT = Path(os.environ.get("OUT", "runs/sunspots"))
OUT.mkdir(parents=True, exist_ok=True)

spots = sample("sunspots").to_pandas()  # a row a year, columns ds and y
print(spots.tail(3))

# %% [markdown]
# What is forecast is judged on years that no training has seen: those from 1942 on.

# %%
before = spots[spots.ds < "1942"]
small = {
    "input_size": 32,
    "hidden_size": 32,
    "decoder_size": 32,
    "members": 3,  # networks, averaged
    "max_steps": STEPS,
    "threads": 1,
    "valid": 66,  # last years before 1942 that choose the best step and make intervals right
}


def judged(model: loopwise.Forecaster):
    """Errors of a forecast every five years from 1943 on, beside simple forecasts."""
    found = model.evaluate(spots, windows=13).set_index("model")
    return found[["mae", "mase", "coverage_80"]].round(2)


# %% [markdown]
# The cycle is about eleven years, so a first try says so. Usually that is right: the network
# reads a season at a step, and mixes the values of past seasons. Here it is worse than to repeat
# the last eleven years.

# %%
model = loopwise.Forecaster(horizon=5, season_length=11, **small).fit(before)
print(judged(model))

# %% [markdown]
# No wonder: cycles take nine to fourteen years, and what was eleven, twenty-two and thirty-three
# years ago drifts apart. Told to read year by year, the recurrent layer finds the phase by
# itself.

# %%
model = loopwise.Forecaster(horizon=5, season_length=11, patch=1, window=44, **small).fit(before)
print(judged(model))

# %% [markdown]
# The years after the table, with intervals, and a picture. The model is the one of 1942; it is
# given the years up to now.

# %%
print(model.predict(df=spots, level=[80, 95]).round({"loopwise": 1}))
model.plot(df=spots, level=[80, 95]).savefig(OUT / "forecast.png")

# %% [markdown]
# How large will the next maximum be, within ten years? That is a question about whole paths. Ten
# years are beyond the horizon, so the forecast goes on from its own paths.

# %%
paths = model.simulate(200, 10, df=spots, seed=1).filter(like="path")
highest = paths.max()
print(f"next maximum: {highest.median():.0f}, in four of five paths "
      f"{highest.quantile(0.1):.0f} to {highest.quantile(0.9):.0f}")  # fmt: skip

# %% [markdown]
# For use elsewhere: one file, read without torch. It has none of the years.

# %%
model.save(OUT / "sunspots.safetensors")
loaded = loopwise.load(OUT / "sunspots.safetensors")
print(loaded.predict(spots, 1))
