"""Small shards as others write them: `python make.py` with Pillow, numpy and pyarrow.

Image i is 8 x 8 of the one colour (10 i, 20, 200 - 5 i), as PNG.

- `hub-0000N-of-00002.parquet`: as `datasets` pushes to the Hugging Face hub: a struct of bytes and path, a ClassLabel with
  names in the schema's metadata, snappy, row groups of 20 rows; 50 and 10 rows.
- `plain.parquet`: image bytes as a column of its own, dictionary-encoded and uncompressed, labels without names.
- `zstd.parquet`: a compression that is not read.
- `numbers.parquet`: no images at all.
- `samples-00000N.tar`: WebDataset; 4 and 2 samples.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

here = Path(__file__).parent


def png(i):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), (10 * i % 256, 20, 200 - 5 * i % 200), np.uint8)).save(buffer, "png", optimize=True)
    return buffer.getvalue()


names = ["cat", "dog", "fox"]
features = {
    "image": {"_type": "Image"},
    "label": {"names": names, "_type": "ClassLabel"},
    "place": {"dtype": "string", "_type": "Value"},
}
struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hub(file, first, count):
    rows = range(first, first + count)
    table = pa.table(
        {
            "image": pa.array([{"bytes": png(i), "path": f"{i}.png"} for i in rows], struct),
            "label": pa.array([i % 3 for i in rows], pa.int64()),
            "place": pa.array([["sea", "land"][i % 2] for i in rows]),
            "seen": pa.array([i % 4 == 0 for i in rows]),
            "box": pa.array([[1.0, 2.0] for _ in rows]),
        }
    )
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, here / file, row_group_size=20)


hub("hub-00000-of-00002.parquet", 0, 50)
hub("hub-00001-of-00002.parquet", 50, 10)
plain = pa.table({"png": [png(i % 4) for i in range(30)], "label": pa.array([i % 5 for i in range(30)], pa.int32())})
pq.write_table(plain, here / "plain.parquet", compression="none", data_page_size=200)
pq.write_table(plain.slice(0, 3), here / "zstd.parquet", compression="zstd")
pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), here / "numbers.parquet")

for shard, first, count in [(0, 0, 4), (1, 4, 2)]:
    with tarfile.open(here / f"samples-{shard:06}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for i in range(first, first + count):
            about = {"shape": names[i % 3], "number": i % 2, "box": [1, 2], "score": 0.5}
            members = [("png", png(i)), ("cls", str(i % 3).encode()), ("txt", f"picture {i % 2}\n".encode())]
            for kind, data in [*members, ("json", json.dumps(about).encode()), ("seg.png", b"another thing")]:
                info = tarfile.TarInfo(f"part/{i:04}.{kind}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
