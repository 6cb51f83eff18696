"""``make mutants``: which single changes of the domain no test of the domain notices.

    make mutants                                    # all of include/domain: hours
    make mutants ARGS=include/domain/decision.py    # one module: minutes
    make mutants ARGS="--again include/domain/journey.py"

What was killed is remembered while the module stays as it is, so that a second run tries only the survivors. Exit code
1: there are survivors that ``equivalent.yaml`` does not explain, or it explains what no longer survives.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .reach import measured, quiet

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".slipway" / "mutants"
MUTATED = "include/domain"
TESTS = ("tests/unit/domain", "tests/unit/workflows/gates/test_own_gates.py", MUTATED)
"""The domain's own tests, and the examples in its docstrings. That a whole journey ends otherwise, or that a simulation
of ``tests/guarantees`` finds another share, does not say what is wrong, and takes a hundred times as long to ask. The
rule of a team's own gate is tested where such gates are."""
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")


def modules_of(asked: list[str]) -> list[str]:
    """The modules below the asked paths.

    Raises:
        SystemExit: for a path that is not in the domain.
    """
    found: list[str] = []
    for path in asked or [MUTATED]:
        whole = (ROOT / path).resolve()
        if not whole.is_relative_to(ROOT / MUTATED) or not whole.exists():
            raise SystemExit(f"{path} is no module or folder of {MUTATED}; name one, or none for all of it.")
        files = [whole] if whole.is_file() else sorted(whole.rglob("*.py"))
        found += [str(f.relative_to(ROOT)) for f in files]
    return list(dict.fromkeys(found))


def explained() -> list[dict[str, str]]:
    import yaml

    entries: list[dict[str, str]] = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []
    for entry in entries:
        if set(entry) != {"module", "was", "becomes", "because"} or not all(entry.values()):
            raise SystemExit(f"{EQUIVALENT.name}: each entry has module, was, becomes and because; not {entry}.")
    return entries


def main() -> int:
    asked = argparse.ArgumentParser(prog="make mutants", description="Which changes of the domain no test notices.")
    asked.add_argument("modules", nargs="*", help=f"modules or folders of {MUTATED}; all of it by default")
    asked.add_argument("--again", action="store_true", help="try also what was killed before")
    asked.add_argument("--workers", type=int, default=2, help="how many changes are tried side by side")
    asked.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="how long the tests of one change may take without it; quickest first",
    )
    args = asked.parse_args()
    modules = modules_of(args.modules)
    os.environ.update(quiet())
    sys.dont_write_bytecode = False  # what did not change is compiled once, and not for each change
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

    from .changes import Change, changes_of
    from .trying import KILLED, Trying, load_libraries

    reach = measured(ROOT, KEPT / "reach", MUTATED, TESTS)
    load_libraries()
    entries = explained()
    used: set[int] = set()
    unexplained: list[tuple[Change, str]] = []
    for module in modules:
        changes = list(changes_of(ROOT, module))
        kept = KEPT / f"{module.replace('/', '.')}.json"
        digest = hashlib.sha256((ROOT / module).read_bytes()).hexdigest()
        before = {} if args.again else _remembered(kept, digest)
        to_try = [c for c in changes if before.get(c.name) != KILLED]
        outcomes: dict[str, str] = {c.name: KILLED for c in changes if before.get(c.name) == KILLED}
        began = time.monotonic()
        for number, (change, outcome) in enumerate(Trying(ROOT, reach, args.workers, args.seconds).outcomes(to_try), 1):
            outcomes[change.name] = outcome
            if outcome != KILLED:
                entry = next((n for n, e in enumerate(entries) if _is(e, change)), None)
                if entry is None:
                    unexplained.append((change, outcome))
                    print(f"{change.module}:{change.line} {change.name} {outcome}", flush=True)
                    print(f"  - {change.was}\n  + {change.becomes}", flush=True)
                else:
                    used.add(entry)
            if number % 25 == 0:
                _remember(kept, digest, outcomes)
        _remember(kept, digest, outcomes)
        counted = Counter(outcomes.values())
        left = sum(change.module == module for change, _ in unexplained)
        explained_here = len(changes) - counted[KILLED] - left
        print(
            f"{module}: {len(changes)} changes, {counted[KILLED]} killed, {explained_here} explained, {left} not; "
            f"{len(to_try)} tried in {time.monotonic() - began:.0f} s",
            flush=True,
        )
    stale = [e for n, e in enumerate(entries) if e["module"] in modules and n not in used]
    for each in stale:
        print(f"{EQUIVALENT.name} explains what is killed or gone: {each['module']}: {each['becomes']}")
    print(f"{len(unexplained)} survivors without an explanation in {EQUIVALENT.relative_to(ROOT)}.")
    gc.unfreeze()  # or libraries would say at the end that they leaked
    return 1 if unexplained or stale else 0


def _is(entry: dict[str, str], change: Any) -> bool:
    return (entry["module"], entry["was"], entry["becomes"]) == (change.module, change.was, change.becomes)


def _remembered(kept: Path, digest: str) -> dict[str, str]:
    if not kept.exists():
        return {}
    said = json.loads(kept.read_text(encoding="utf-8"))
    return dict(said["outcomes"]) if said["source"] == digest else {}


def _remember(kept: Path, digest: str, outcomes: dict[str, str]) -> None:
    """``digest`` is the module's when its changes were made: it may have been mended since."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"source": digest, "outcomes": outcomes}), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
