"""Writes adam.json: a linear layer fitted as the paper's zs_spur_correlation.py does it, by PyTorch.

    python make.py    # torch 2.6
"""

import json
from pathlib import Path

import torch

torch.manual_seed(0)
B, D, C = 37, 3, 2
x = torch.randn(B, D)
y = (x[:, 0] + 0.5 * torch.randn(B) > 0).long()
layer = torch.nn.Linear(D, C)
start = {"weight": layer.weight.tolist(), "bias": layer.bias.tolist()}
adam = torch.optim.Adam(layer.parameters(), lr=1e-2, weight_decay=1e-2)
losses = []
for _ in range(10):
    total = 0.0
    for i in range(0, B, 16):  # in order, the last batch is smaller
        loss = torch.nn.functional.cross_entropy(layer(x[i : i + 16]), y[i : i + 16])
        adam.zero_grad()
        loss.backward()
        adam.step()
        total += loss.item() * len(x[i : i + 16])
    losses.append(total / B)
out = {
    "x": x.tolist(),
    "labels": y.tolist(),
    "start": start,
    "end": {"weight": layer.weight.tolist(), "bias": layer.bias.tolist()},
    "losses": losses,
}
Path(__file__).with_name("adam.json").write_text(json.dumps(out) + "\n")
