"""Makes the pictures of a saved notebook small enough for a repository: shrink_notebook.py NOTEBOOK ...

Pictures are saved at twice their nominal size; here they are brought to the nominal size, and those that PNG cannot
hold in a few hundred kB, as grids of photographs, become JPEG. Needs Pillow.
"""

import base64
import io
import json
import sys

from PIL import Image

LARGE = 300_000

for name in sys.argv[1:]:
    with open(name) as file:
        notebook = json.load(file)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            png = data["image/png"]
            png = base64.b64decode(png if isinstance(png, str) else "".join(png))
            image = Image.open(io.BytesIO(png)).convert("RGB")
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
            small = io.BytesIO()
            image.save(small, "PNG", optimize=True)
            kind = "image/png"
            if len(small.getvalue()) > LARGE:
                small, kind = io.BytesIO(), "image/jpeg"
                image.save(small, "JPEG", quality=92, subsampling=0, optimize=True)
            del data["image/png"]
            data[kind] = base64.b64encode(small.getvalue()).decode()
    with open(name, "w") as file:
        json.dump(notebook, file, indent=2, ensure_ascii=False)
        file.write("\n")
