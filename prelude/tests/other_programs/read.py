"""Reads a store of contributions by zarr and by xarray, and prints what they see as JSON."""

import json
import sys
import warnings

import numpy as np
import xarray
import zarr

warnings.simplefilter("ignore")
path = sys.argv[1]
group = zarr.open_group(path, mode="r")
values = group["values"]
data = xarray.open_zarr(path, consolidated=False)
sums = data["values"].sum("component").values


def tokens_of(head):
    """What each source token contributes through a head of the last layer: image, token, channel."""
    about = group.attrs["vitrepl"]["tokens"]
    place = len(about["layers"]) - 1
    shape = about["layers"][place]
    weights, values = (group[f"tokens/layers/{place}/{name}"][:, :, head] for name in ("weights", "values"))
    # Image, window, row, token, channel of the head.
    x = weights[..., None] * values[:, :, None]
    images, windows, rows, tokens, channels = x.shape
    x = x.transpose(0, 1, 3, 2, 4).reshape(-1, channels)
    step, first = shape["map"], True
    while step is not None:
        step_is = about["steps"][step]
        array = group[f"tokens/maps/{step_is['array']}"][:] if "array" in step_is else None
        if step_is["step"] == "dense":
            # The first matrix takes all heads' channels side by side.
            array = array[:, head * channels : (head + 1) * channels] if first else array
            x = x @ array.T
        elif step_is["step"] == "diagonal":
            x = x * array
        elif step_is["step"] == "centre":
            x = x - x.mean(-1, keepdims=True)
        else:
            x = x.reshape(len(x) // step_is["rows"], -1)
        step, first = step_is["then"], False
    x = x.reshape(images, windows * tokens, -1)
    if shape["shared"]:
        x = x + group[f"tokens/layers/{place}/share"][:][:, None] / x.shape[1]
    return shape, x


def look_at_tokens():
    shape, x = tokens_of(1)
    block = group[f"tokens/layers/{len(group.attrs['vitrepl']['tokens']['layers']) - 1}"].attrs["block"]
    head = group.attrs["component_names"].index(f"{block} head 1")
    want = values[:, head]
    layer = xarray.open_zarr(path, group="tokens/layers/0", consolidated=False)
    return {
        "dims": list(layer["values"].dims),
        "tokens": x.shape[1],
        "apart": float(np.abs(x.sum(1) - want).max() / np.abs(want).max()),
    }


print(
    json.dumps(
        {
            "zarr": zarr.__version__,
            "shape": list(values.shape),
            "chunks": list(values.chunks),
            "dtype": str(values.dtype),
            "finished": [int(v) for v in group["finished"][:]],
            "components": group.attrs["component_names"],
            "images": group.attrs["image_names"],
            "model": group.attrs["model"],
            "dims": list(data["values"].dims),
            "representation_dims": list(data["representation"].dims),
            "apart": float(np.abs(sums - data["representation"].values).max() / np.abs(sums).max()),
            "corner": [float(v) for v in values[-1, 3, :4]],
            "tokens": look_at_tokens() if "tokens" in group else None,
            "nan": bool(np.isnan(values[:]).any()),
        }
    )
)
