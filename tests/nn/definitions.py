"""Every cell from its equations in NumPy and float64: what the reference is held against."""

import numpy as np

EPSILON = 1e-5


def logistic(x):
    return 1 / (1 + np.exp(-x))


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)


def shares(x, h, w):
    """The input's and the state's share of the gates."""
    a, u = x @ w["weight_ih"].T, h @ w["weight_hh"].T
    if "norm_weight_ih" in w:
        a, u = norm(a) * w["norm_weight_ih"], norm(u) * w["norm_weight_hh"]
    return a + w.get("bias_ih", 0), u + w.get("bias_hh", 0)


def project(h, w):
    return h @ w["weight_hr"].T if "weight_hr" in w else h


def rnn(x, state, w, function):
    a, u = shares(x, state[0], w)
    gate = function(a + u)
    h = project(gate, w)
    return h, (h,), gate


def lstm(x, state, w):
    h, c = state
    i, f, g, o = np.split(sum(shares(x, h, w)), 4, -1)
    peep_i, peep_f, peep_o = w.get("weight_peephole", np.zeros(3))
    i, f, g = logistic(i + peep_i * c), logistic(f + peep_f * c), np.tanh(g)
    c = f * c + i * g
    o = logistic(o + peep_o * c)
    seen = norm(c) * w["norm_weight_c"] + w["norm_bias_c"] if "norm_weight_c" in w else c
    h = project(o * np.tanh(seen), w)
    return h, (h, c), np.concatenate((i, f, g, o), -1)


def gru(x, state, w):
    (h,) = state
    a, u = shares(x, project(h, w), w)
    (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3, -1), np.split(u, 3, -1)
    r, z = logistic(a_r + u_r), logistic(a_z + u_z)
    n = np.tanh(a_n + r * u_n)
    h = (1 - z) * n + z * h
    return project(h, w), (h,), np.concatenate((r, z, n), -1)


CELLS = {
    "rnn_tanh": lambda x, s, w: rnn(x, s, w, np.tanh),
    "rnn_relu": lambda x, s, w: rnn(x, s, w, lambda v: np.maximum(v, 0)),
    "lstm": lstm,
    "gru": gru,
}


def run(cell, x, state, w, zoneout=()):
    """A cell over [T, B, I] in evaluation: outputs, last state, every state, all gates."""
    outputs, states, gates = [], [], []
    for x_t in x:
        y, new, gate = CELLS[cell](x_t, state, w)
        if zoneout:
            new = tuple(
                p * old + (1 - p) * s for p, old, s in zip(zoneout, state, new, strict=True)
            )
            y = project(new[0], w) if cell == "gru" else new[0]
        state = new
        outputs.append(y)
        states.append(state)
        gates.append(gate)
    return np.stack(outputs), state, [np.stack(part) for part in zip(*states, strict=True)], gates
