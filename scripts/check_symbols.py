"""Fails when a library's exported symbols are not those of a checked-in list.

    check_symbols.py LIBRARY LIST
"""
import pathlib
import subprocess
import sys

library, listed = sys.argv[1:]
text = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                      capture_output=True, text=True).stdout
found = {line.split()[-1].split("@")[0] for line in text.splitlines()}
wanted = set(pathlib.Path(listed).read_text().split())
for name in sorted(found - wanted):
    print(f"{library} exports {name}, which {listed} does not list")
for name in sorted(wanted - found):
    print(f"{listed} lists {name}, which {library} does not export")
sys.exit(found != wanted)
