"""Runs a notebook with the installed kernel: run_notebook.py FROM TO writes it with its outputs.

Fails at the first cell that does, and says how many pictures and progress bars there were.
"""

import sys

import nbformat
from nbclient import NotebookClient

source, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=1800, kernel_name="vitrepl").execute()
nbformat.validate(notebook)
nbformat.write(notebook, target)

code = [cell for cell in notebook.cells if cell.cell_type == "code"]
outputs = [output for cell in code for output in cell.outputs]
numbers = [cell.execution_count for cell in code]
assert numbers == list(range(1, len(code) + 1)), numbers
pictures = [o for o in outputs if "image/png" in o.get("data", {})]
bars = [o for o in outputs if "<progress" in o.get("data", {}).get("text/html", "")]
print(f"{len(code)} cells, {len(pictures)} pictures, {len(bars)} progress bars")
