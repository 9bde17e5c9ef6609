"""The small pictures beside this file and what Pillow makes of them: `python make.py` with Pillow and numpy.

`pillow/NAME.EXT.png` is `Image.open(NAME.EXT).convert("RGB")` (turned upright first where the name begins with `turned`),
`pillow/FILTER_WxH.png` what `rocket_part.png` becomes with `resize((W, H), FILTER)`. `rocket.png`: NASA photograph,
public domain.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

here = Path(__file__).parent
pillow = here / "pillow"
pillow.mkdir(exist_ok=True)
rocket = Image.open(here / "rocket.png").convert("RGB")
part = rocket.crop((180, 20, 270, 147)).resize((61, 87), Image.LANCZOS)
part.save(here / "rocket_part.png", optimize=True)


def sixteen(color, channels):
    """A PNG of 16 bits a channel, which Pillow does not write itself."""
    rgb = np.asarray(part.resize((20, 28)), dtype=np.uint16) * 257
    rgb = rgb + np.arange(rgb.size, dtype=np.uint16).reshape(rgb.shape) % 200
    pixels = {1: rgb[:, :, :1], 2: rgb[:, :, :2], 3: rgb, 4: np.concatenate([rgb, rgb[:, :, :1]], 2)}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20, 28, 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


alpha = Image.fromarray(np.tile(np.arange(61, dtype=np.uint8) * 4, (87, 1)))
rgba = part.copy()
rgba.putalpha(alpha)
part.save(here / "photo.jpg", quality=92, subsampling=2)
part.save(here / "full.jpg", quality=92, subsampling=0)
part.save(here / "progressive.jpg", quality=85, progressive=True)
part.convert("L").save(here / "grey.jpg", quality=92)
part.convert("CMYK").save(here / "cmyk.jpg", quality=92)
part.save(here / "lossy.webp", quality=90)
rgba.save(here / "lossless_alpha.webp", lossless=True, exact=True)
part.convert("L").save(here / "grey.png", optimize=True)
part.convert("1").save(here / "bits.png", optimize=True)
part.quantize(32).save(here / "palette.png", optimize=True)
part.quantize(32).save(here / "palette_transparent.png", optimize=True, transparency=3)
rgba.save(here / "alpha.png", optimize=True)
rgba.convert("LA").save(here / "grey_alpha.png", optimize=True)
for name, color, channels in [("rgb16", 2, 3), ("rgba16", 6, 4), ("grey_alpha16", 4, 2)]:
    (here / f"{name}.png").write_bytes(sixteen(color, channels))
exif = Image.Exif()
for orientation in range(1, 9):
    exif[0x0112] = orientation
    part.resize((31, 44)).save(here / f"turned{orientation}.jpg", quality=92, exif=exif)
exif[0x0112] = 6
part.resize((31, 44)).save(here / "turned6.png", optimize=True, exif=exif)
part.resize((31, 44)).save(here / "turned6.webp", lossless=True, exif=exif)

for file in sorted(here.glob("*.*")):
    if file.suffix in (".jpg", ".png", ".webp") and not file.stem.startswith("rocket"):
        picture = Image.open(file)
        if file.stem.startswith("turned"):
            picture = ImageOps.exif_transpose(picture)
        picture.convert("RGB").save(pillow / f"{file.name}.png", optimize=True)

for name in ["NEAREST", "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"]:
    for size in [(23, 33), (61, 40), (70, 87), (97, 131), (5, 3)]:
        resized = part.resize(size, getattr(Image, name))
        resized.save(pillow / f"{name.lower()}_{size[0]}x{size[1]}.png", optimize=True)
