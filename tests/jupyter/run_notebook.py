"""Runs a notebook with the installed kernel: run_notebook.py FROM TO writes it with its outputs.

With run_notebook.py FROM TO KERNEL CELL another kernel runs it, and this cell comes first. Fails at the first cell that
does, and says how many pictures and progress bars there were.
"""

import sys

import nbformat
from nbclient import NotebookClient

source, target, *other = sys.argv[1:]
kernel, *first = other or ["vitrepl"]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
notebook.cells[:0] = [nbformat.v4.new_code_cell(cell) for cell in first]
NotebookClient(notebook, timeout=1800, kernel_name=kernel).execute()
nbformat.validate(notebook)
nbformat.write(notebook, target)

code = [cell for cell in notebook.cells if cell.cell_type == "code"]
outputs = [output for cell in code for output in cell.outputs]
numbers = [cell.execution_count for cell in code]
assert numbers == list(range(1, len(code) + 1)), numbers
pictures = [o for o in outputs if "image/png" in o.get("data", {})]
bars = [o for o in outputs if "<progress" in o.get("data", {}).get("text/html", "")]
print(f"{len(code)} cells, {len(pictures)} pictures, {len(bars)} progress bars")
