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
            "nan": bool(np.isnan(values[:]).any()),
        }
    )
)
