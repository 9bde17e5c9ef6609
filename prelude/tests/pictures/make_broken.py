"""More small JPEG files, and where Pillow takes a file for cut off: `python make_broken.py` with Pillow and numpy,
after `make.py`.

`half.jpg` (4:2:2, odd sizes, restart markers), `tall.jpg` (one pixel wide) and `grey_progressive.jpg` with what Pillow
makes of them in `pillow/`. `cuts.json`: for each picture the length of the file, and the shortest beginning of it that
Pillow still reads.
"""

import io
import json
import warnings
from pathlib import Path

from PIL import Image

warnings.simplefilter("ignore")
here = Path(__file__).parent
part = Image.open(here / "rocket_part.png").convert("RGB")
part.resize((45, 37)).save(here / "half.jpg", quality=70, subsampling=1, restart_marker_blocks=3)
part.resize((1, 61)).save(here / "tall.jpg", quality=80)
part.resize((33, 40)).convert("L").save(here / "grey_progressive.jpg", quality=80, progressive=True)
for name in ["half", "tall", "grey_progressive"]:
    Image.open(here / f"{name}.jpg").convert("RGB").save(here / "pillow" / f"{name}.jpg.png", optimize=True)


def reads(data):
    try:
        Image.open(io.BytesIO(data)).convert("RGB")
        return True
    except Exception:
        return False


cuts = {}
for file in sorted(here.glob("*.*")):
    if file.suffix in (".jpg", ".png", ".webp") and not file.stem.startswith("rocket"):
        data = file.read_bytes()
        read = [length for length in range(len(data) + 1) if reads(data[:length])]
        assert read == list(range(read[0], len(data) + 1)), file
        cuts[file.name] = [len(data), read[0]]
(here / "cuts.json").write_text(json.dumps(cuts, indent=1) + "\n")
