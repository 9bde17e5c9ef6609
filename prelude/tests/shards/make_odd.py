"""Parquet files as people write them, each odd in one way: `python make_odd.py` with Pillow, numpy and pyarrow, after
`make.py`. Image i is that of `make.py`.

- `labels.parquet`: unsigned numbers of every width, a u64 beyond i64, truth values, a dictionary, a column with a gap.
- `lists.parquet`: a list of images in each row. `first.parquet`: what the remedy in the error message makes of it.
- `paths.parquet`: paths in place of bytes. `texts.parquet`: an image column that is text.
- `masks.parquet`: images and masks in colour.
- `cut.parquet`: whole and cut-off JPEG files in turn (baseline, progressive, grey, four channels).
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pyarrow.parquet as pq
from PIL import Image

here = Path(__file__).parent


def png(i):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), (10 * i % 256, 20, 200 - 5 * i % 200), np.uint8)).save(buffer, "png", optimize=True)
    return buffer.getvalue()


struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
images = pa.array([{"bytes": png(i), "path": f"{i}.png"} for i in range(3)], struct)
pq.write_table(
    pa.table(
        {
            "image": images,
            "u8": pa.array([0, 200, 255], pa.uint8()),
            "u16": pa.array([1, 40000, 65535], pa.uint16()),
            "u32": pa.array([2, 70000, 3000000000], pa.uint32()),
            "u64": pa.array([3, 4, 5], pa.uint64()),
            "beyond": pa.array([0, 1, 2**63 + 5], pa.uint64()),
            "i8": pa.array([1, 2, 3], pa.int8()),
            "seen": pa.array([True, False, True]),
            "place": pa.array(["sea", "land", "sea"]).dictionary_encode(),
            "gap": pa.array([1, None, 2], pa.int64()),
            "score": pa.array([0.5, 1.5, 2.5]),
        }
    ),
    here / "labels.parquet",
)
lists = pa.array([[images[i].as_py(), images[0].as_py()] for i in range(3)], pa.list_(struct))
pq.write_table(pa.table({"images": lists, "label": [0, 1, 2]}), here / "lists.parquet")
t = pyarrow.parquet.read_table(here / "lists.parquet")
pyarrow.parquet.write_table(
    t.append_column("first", pyarrow.compute.list_element(t["images"], 0)).drop_columns(["images"]), here / "first.parquet"
)
paths = pa.array([{"bytes": None, "path": f"photos/{i}.png"} for i in range(3)], struct)
pq.write_table(pa.table({"image": paths, "label": [0, 1, 2]}), here / "paths.parquet")
pq.write_table(pa.table({"image": ["a.png", "b.png"], "label": [0, 1]}), here / "texts.parquet")
pq.write_table(pa.table({"image": images, "mask": images}), here / "masks.parquet")
rows = []
for name in ["photo", "progressive", "grey", "cmyk"]:
    data = (here.parent / "pictures" / f"{name}.jpg").read_bytes()
    rows += [data, data[: len(data) * 4 // 5]]
pq.write_table(pa.table({"image": rows, "label": list(range(8))}), here / "cut.parquet")
