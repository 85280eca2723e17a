"""Fails when a file includes a room that src/rooms.txt does not allow.

Files of cli/ and apps/ may include no room at all, only <lathe/...> and each
other (cli may use apps).
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
allowed = {}
for line in (root / "src/rooms.txt").read_text().splitlines():
    if line.strip() and not line.startswith("#"):
        room, _, others = line.partition(":")
        allowed[room.strip()] = {room.strip(), *others.split()}

bad = 0
for path in sorted(p for top in ("src", "cli", "apps", "examples")
                   for p in (root / top).rglob("*")):
    if path.suffix not in {".h", ".cc", ".inc"}:
        continue
    parts = path.relative_to(root).parts
    room = parts[1] if parts[0] == "src" else parts[0]
    if parts[0] == "src" and room not in allowed:
        print(f"{path}: room {room} is not in src/rooms.txt")
        bad += 1
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        found = re.match(r'\s*#\s*include\s+["<](src|cli|apps)/([a-z_]+)/', line)
        if not found:
            continue
        top, target = found[1], found[2]
        fine = (target in allowed.get(room, set()) if top == "src"
                else top == parts[0] or (parts[0], top) == ("cli", "apps"))
        if not fine:
            print(f"{path}:{number}: {room} may not include {top}/{target}")
            bad += 1
sys.exit(bad > 0)
