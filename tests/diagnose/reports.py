"""Reports as trainings give them, without one: an LSTM that vanishes, an RNN that explodes, a
healthy GRU, and what no training should give."""

import math
from dataclasses import replace

import numpy as np

from loopwise.diagnose.report import (
    Activity,
    Dependence,
    Finding,
    Gradients,
    Influence,
    LayerReport,
    NotFinite,
    Report,
    Spectrum,
    TensorReport,
    Training,
)

GATES = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "h", "rnn_relu": "h"}
NAN = math.nan
INF = math.inf


def decay(rate, count, *, start=1.0, noise=0.0, seed=0):
    """`count` numbers from `start` on, each about e^rate times the one before."""
    wobble = noise * np.random.default_rng(seed).standard_normal(count)
    with np.errstate(over="ignore", under="ignore"):
        return tuple(float(v) for v in start * np.exp(rate * np.arange(count) + wobble))


def horizon(curve, level):
    return next((lag for lag, value in enumerate(curve) if value < level * curve[0]), None)


def layer(
    name="l0", cell="lstm", *, slope=-0.02, steps=64, units=48, radius=0.95, saturated=0.05, seed=0
):
    """A layer whose gradients change by e^slope a step back."""
    rng = np.random.default_rng(seed)
    gates = GATES[cell]
    lstm = cell == "lstm"
    back = {
        g: decay(slope, steps, start=0.02 * (k + 1), noise=0.2, seed=seed + k)[::-1]
        for k, g in enumerate(gates)
    }
    matrices = {g: rng.standard_normal((units, units)) / math.sqrt(units) for g in gates}
    eigenvalues = {}
    for k, (g, matrix) in enumerate(matrices.items()):
        found = np.linalg.eigvals(matrix) * radius * (1 - 0.12 * k)
        found = found[np.argsort(-abs(found), kind="stable")]
        eigenvalues[g] = tuple((float(v.real), float(v.imag)) for v in found)
    memory = decay(slope, steps + 1)
    return LayerReport(
        name=name,
        cell=cell,
        inputs=32,
        units=units,
        steps=steps,
        rows=16,
        gradients=Gradients(
            h=decay(slope * 1.3, steps, start=0.08, noise=0.12, seed=seed + 7)[::-1],
            c=decay(slope, steps, start=0.15, noise=0.05, seed=seed + 8)[::-1] if lstm else None,
            gates=back,
            slope_h=slope * 1.3,
            slope_c=slope if lstm else None,
        ),
        influence=Influence(
            h=decay(slope * 1.3, steps + 1) if lstm else memory,
            c=decay(slope, steps + 1, start=0.5) if lstm else None,
            x=decay(slope * 1.1, steps + 1, start=0.4, noise=0.1, seed=seed + 9),
            slope=slope,
            horizon=horizon(memory, math.exp(-1)),
            horizon_1_percent=horizon(memory, 0.01),
        ),
        spectrum=Spectrum(
            radius={g: math.hypot(*values[0]) for g, values in eigenvalues.items()},
            norm=dict.fromkeys(gates, 1.9 * radius),
            eigenvalues=eigenvalues,
            jacobian_radius=decay(0, 9, start=math.exp(slope), noise=0.05, seed=seed),
            jacobian_norm=decay(0, 9, start=1.4 * math.exp(slope), noise=0.1, seed=seed + 1),
            jacobian_steps=tuple(int(t) for t in np.linspace(0, steps - 1, 9)),
            lyapunov=tuple(float(slope - 0.04 * k - 0.004 * k * k) for k in range(8)),
        ),
        activity=activity(cell, saturated, units, seed),
    )


def activity(cell, saturated, units, seed):
    rng = np.random.default_rng(seed)
    low, high, histogram = {}, {}, {}
    for k, gate in enumerate(GATES[cell]):
        tanh = gate in "gn" or cell == "rnn_tanh"
        spread = 8 * saturated + 0.8
        values = rng.normal(0.0 if tanh else 1.5 * (k - 1) * saturated, spread, 4000)
        values = np.tanh(values) if tanh else 1 / (1 + np.exp(-values * 2))
        bottom = -1 if tanh else 0
        low[gate] = float(np.mean(values < bottom + 0.05))
        high[gate] = float(np.mean(values > 0.95))
        counts, _ = np.histogram(values, 20, (bottom, 1))
        histogram[gate] = tuple(float(v) for v in counts / 4000)
    return Activity(low, high, histogram, (3,), (), effective_rank=0.6 * units)


def tensors(*layers, ratio=1e-3, updates=True):
    rng = np.random.default_rng(1)
    names = ["embedding.weight"]
    for each in layers:
        names += [f"{part}_{each.name}" for part in ("weight_ih", "weight_hh", "bias_ih")]
    names.append("head.weight")
    weights = np.exp(rng.normal(2, 0.6, len(names)))
    gradients = weights * 0.03 * np.exp(rng.normal(0, 1.2, len(names)))
    changes = weights * ratio * np.exp(rng.normal(0, 0.7, len(names)))
    return tuple(
        TensorReport(name, float(w), float(g), float(u) if updates else None)
        for name, w, g, u in zip(names, weights, gradients, changes, strict=True)
    )


def dependence(reach=40, lags=60):
    values = tuple(
        float(0.3 * math.exp(-k / (reach / 3))) if k <= reach else 0.0 for k in range(1, lags + 1)
    )
    return Dependence("mutual information", tuple(range(1, lags + 1)), values, reach)


def vanishing():
    only = layer(slope=-0.19, radius=0.62, saturated=0.3, seed=3)
    return Report(
        2.31,
        (only,),
        tensors(only, ratio=2e-5),
        dependence=dependence(),
        training=Training(3000, 0.02, 64),
    )


def exploding():
    only = layer("rnn.l0", "rnn_tanh", slope=0.24, steps=100, radius=1.45, saturated=0.12, seed=4)
    return Report(
        5.9, (only,), tensors(only, ratio=4e-2, updates=True), training=Training(400, 0.93, None)
    )


def healthy():
    layers = tuple(
        layer(
            f"encoder.l{k}{way}",
            "gru",
            slope=-0.012 - 0.006 * k,
            steps=128,
            radius=1.02,
            seed=5 + k,
        )
        for k in (0, 1)
        for way in ("", "_reverse")
    )
    return Report(
        1.12,
        layers,
        tensors(*layers),
        dependence=dependence(30, 100),
        training=Training(12000, 0.1, 128),
    )


def tiny():
    """One step, one unit, nothing to see."""
    only = LayerReport(
        "l0",
        "rnn_relu",
        1,
        1,
        1,
        1,
        Gradients((0.0,), None, {"h": (0.0,)}, NAN, None),
        Influence((1.0, 0.0), None, (0.0, 0.0), NAN, 1, 1),
        Spectrum({"h": 0.0}, {"h": 0.0}, {"h": ((0.0, 0.0),)}, (), (), (), (-INF,)),
        Activity({"h": 1.0}, {"h": 0.0}, {"h": (1.0,) + (0.0,) * 19}, (0,), (0,), 1.0),
    )
    return Report(0.0, (only,), (TensorReport("weight_hh_l0", 0.0, 0.0, None),))


def broken():
    """NaN, infinity and zero wherever they can stand."""
    odd = (NAN, INF, 0.0, 1e-320, 1e300, 1.0, -INF, NAN)
    only = LayerReport(
        "l0",
        "lstm",
        4,
        2,
        8,
        1,
        Gradients(odd, (NAN,) * 8, {"i": odd, "f": (0.0,) * 8}, NAN, INF),
        Influence(odd, (0.0,) * 8, (INF,) * 8, NAN, None, None),
        Spectrum(
            {"i": NAN, "f": INF},
            {"i": NAN, "f": INF},
            {"i": ((NAN, 0.0), (INF, 1.0)), "f": ()},
            (NAN, INF, 0.0),
            (1e300, NAN, 0.0),
            (0, 3, 7),
            (INF, NAN, -INF),
        ),
        Activity(
            {"i": NAN, "f": 0.0},
            {"i": NAN, "f": 1.0},
            {"i": (NAN,) * 20, "f": (0.0,) * 20},
            (0, 1),
            (),
            NAN,
        ),
    )
    return Report(
        NAN,
        (only,),
        (TensorReport("a", INF, NAN, NAN), TensorReport("b", 0.0, 1.0, 0.0)),
        NotFinite("rnn", 3, "the state of a step"),
    )


def deep(count=40):
    layers = tuple(
        layer(f"stack.l{k}", "gru", slope=-0.01 * k, steps=32, units=8, seed=k)
        for k in range(count)
    )
    return Report(1.0, layers, tensors(*layers), skipped={"head.rnn": "has a cell of its own"})


def hostile():
    """Names that would like to be something else."""
    report = vanishing()
    name = "<script>alert('$x$')</script>\x1b[31m/../\"&"
    named = replace(report.layers[0], name=name)
    return replace(
        report,
        layers=(named,),
        tensors=tensors(named),
        not_finite=NotFinite(name, 1, "<b>"),
        skipped={name: "<i>"},
    )


def findings(report):
    """What somebody might say of any report."""
    where = report.layers[0].name if report.layers else "model"
    return (
        Finding(
            "vanishing",
            where,
            f"In {where}, the gradient shrinks to 1/e within 6 steps back, while the data depends "
            "on 40 steps.",
            0.78,
            0.9,
            "Below 0.9 a step, less than 2 % of the gradient is left after 40 steps.",
            ("model.cell=lstm", "model.forget_bias=2.0", "train.window=128"),
        ),
        Finding(
            "updates",
            "model",
            "Updates are 50 times smaller than usual.",
            2e-5,
            1e-4,
            "Weights that change by a thousandth a step learn well.",
            ("train.lr=0.01",),
        ),
        Finding("healthy", "head.weight", "The head's gradients are fine.", 1e-3, 1e-2, "", ()),
    )


def watched(report, count=24, *, width=32):
    """Watch records of a training in which the memory grows."""
    records = [{"kind": "train", "step": 1, "loss": 2.0}]
    for k in range(count):
        layers = {}
        for each in report.layers:
            rate = -2.5 / (1 + k / 4)
            gradient = decay(rate * 0.3, width, start=0.1, noise=0.2, seed=k)[::-1]
            layers[each.name] = {
                "gradient": list(gradient),
                "horizon": None if k > 0.9 * count else min(3 + 2 * k, each.steps),
                "slope": rate * 0.3,
            }
        records.append({"kind": "watch", "step": 100 * k, "layers": layers})
    return records
