"""Tells the story of hubtwin in a cluster, step by step, each with its time. Run by `make test-cluster`.

main.py [CHAPTER...]      all chapters, or the first ones up to a name: later ones stand on earlier ones
"""

import subprocess
import sys
import time

import drain
import gitops
import lifecycle
import rights
import tenants
import tutorial

CHAPTERS = [(chapter.__name__, chapter) for chapter in (tutorial, tenants, gitops, drain, lifecycle, rights)]


def tell(chapter, step):
    began = time.monotonic()
    sys.stdout.write(f"{chapter}: {step.__doc__} ... ")
    sys.stdout.flush()
    try:
        step()
    except BaseException:
        print("FAILED")
        raise
    print(f"{time.monotonic() - began:.1f} s")


def show():
    """What a reader of a failure wants to see."""
    for command in ["get all,events -A", "logs -n hubtwin -l app.kubernetes.io/component=operator --tail 40 --prefix",
                    "describe pods -n hubtwin"]:
        subprocess.run(f"kubectl {command} 2>&1 | tail -n 80 >&2", shell=True, check=False)


def main():
    last = sys.argv[1] if len(sys.argv) > 1 else CHAPTERS[-1][0]
    names = [name for name, _ in CHAPTERS]
    if last not in names:
        sys.exit(f"no chapter {last}; there are {', '.join(names)}")
    began = time.monotonic()
    try:
        for name, chapter in CHAPTERS[: names.index(last) + 1]:
            for step in chapter.STEPS:
                tell(name, step)
    except Exception:
        show()
        raise
    print(f"all told in {time.monotonic() - began:.0f} s")


main()
