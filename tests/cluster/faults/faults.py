#!/usr/bin/env python3
"""Faults under load: what each one costs the users of a mesh. Run by `scripts/cluster faults [NAME...]`; `short` stands
for what CI runs, and is judged by lost requests too.

Needs a cluster with weft installed. Puts world.yaml there, loads it (200 requests a second: over the gateway, on one node,
between nodes; layer 4 and 7; kept and new connections), makes one fault after the other, and prints for each, as a row of a
Markdown table, what failed, from when to when and why. All the while strangers beyond the mesh ask the strict servers in
plain text (an answer is a breach), and the wire between the nodes is searched for the bodies of the strict namespace.
Exit 1: a breach, plain text, something that did not recover; with `short` also a lost request where none may be lost.
Otherwise lost requests are the table's to tell.
"""
import os
import pathlib
import shutil
import sys
import tempfile

import cases
from lab import Lab

HEAD = ("| fault | asked | rate | failed | from-to | cause | reopened | max ms | breaches | load avg | remarks |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|")


def chosen(words):
    """(names, whether lost requests count)"""
    short = words == ["short"]
    names = cases.SHORT if short else words or list(cases.ALL)
    for name in names:
        if name not in cases.ALL:
            sys.exit(f"faults: no {name}; there are: short {' '.join(cases.ALL)}")
    return names, short


def main():
    names, short = chosen([word for word in sys.argv[1:] if not word.startswith("-")])
    with tempfile.TemporaryDirectory(prefix="weft-faults-") as folder:
        os.chmod(folder, 0o755)
        lab = Lab(folder)
        lab.rest = 5 if short else 8
        try:
            print(HEAD, flush=True)
            costly = []
            for name in names:
                lab.lost.clear()
                cases.ALL[name](lab)
                if short and name in cases.FREE and sum(lab.lost.values()) > 0:
                    costly.append(name)
            good = lab.close_and_judge() and not costly
            if costly:
                print(f"lost requests where none may be lost: {' '.join(costly)}")
        finally:
            lab.close()
            if kept := os.environ.get("WEFT_FAULTS_KEEP"):
                shutil.copytree(folder, kept, dirs_exist_ok=True)
            for path in pathlib.Path(folder).glob("*.err"):
                if text := path.read_text(encoding="utf8"):
                    print(f"{path.name}: {text[-800:]}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
