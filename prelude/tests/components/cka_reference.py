"""Writes cka.json, the reference values of `tests/components/similar.rs`: linear CKA by Gram matrices.

    python3 cka_reference.py     # numpy

Plain: HSIC with centred Gram matrices (Kornblith et al. 2019, equations 2 and 3). Unbiased: HSIC_1 (Song et al. 2012,
equation 5), Gram matrices without diagonals. The library computes both from features instead.
"""
import json

import numpy as np


def plain(k, l):
    n = len(k)
    h = np.eye(n) - 1 / n
    return np.trace(k @ h @ l @ h)


def unbiased(k, l):
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    return (
        np.trace(k @ l)
        + k.sum() * l.sum() / ((n - 1) * (n - 2))
        - 2 / (n - 2) * k.sum(0) @ l.sum(0)
    ) / (n * (n - 3))


def cka(hsic, x, y):
    k, l = x @ x.T, y @ y.T
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


rng = np.random.default_rng(7)
x = np.round(rng.normal(size=(12, 3)) + 2, 3)
cases = {
    "alike": np.round(x @ rng.normal(size=(3, 5)) + 0.5 * rng.normal(size=(12, 5)), 3),
    "independent": np.round(rng.normal(size=(12, 9)) - 1, 3),
}
out = {"x": x.tolist(), "cases": {}}
for name, y in cases.items():
    out["cases"][name] = {"y": y.tolist(), "plain": cka(plain, x, y), "unbiased": cka(unbiased, x, y)}
print({name: (case["plain"], case["unbiased"]) for name, case in out["cases"].items()})
with open("cka.json", "w") as file:
    json.dump(out, file)
