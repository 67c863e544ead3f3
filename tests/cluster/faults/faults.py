#!/usr/bin/env python3
"""Faults under load: what each one costs the users of a mesh. Run by `scripts/cluster faults [NAME...]`.

Needs a cluster with weft installed. Puts world.yaml there, loads it (about 100 requests a second over the gateway, on one
node, between nodes; kept and new connections), makes one fault after the other, and prints for each what failed, how
many requests, from when to when and why. All the while a stranger beyond the mesh asks the strict servers in plain text
(an answer is a breach), and the wire between the nodes is searched for the bodies of the strict namespace.
Exit 0: no breach and no plain text. Lost requests are the table's to tell, not a failure of this program.
"""
import os
import pathlib
import shutil
import sys
import tempfile

import cases
from lab import Lab

HEAD = f"{'fault':<30} {'asked':>6} {'failed':>6} {'max ms':>8} {'breaches':>8}  when"


def main():
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    for name in names:
        if name not in cases.ALL:
            sys.exit(f"faults: no {name}; there are: {' '.join(cases.ALL)}")
    with tempfile.TemporaryDirectory(prefix="weft-faults-") as folder:
        os.chmod(folder, 0o755)
        lab = Lab(folder)
        try:
            print(HEAD, flush=True)
            for name in names or cases.ALL:
                cases.ALL[name](lab)
            good = lab.close_and_judge()
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
