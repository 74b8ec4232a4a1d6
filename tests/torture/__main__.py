"""`python -m tests.torture [SUITE ...] [--count N] [--seed N]`: runs long suites whole, and prints their figures."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema

from qwen3cli.chat.events import ToolCalled
from qwen3cli.chat.messages import ToolSpec
from qwen3cli.chat.ports import Engine
from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines import open_engine
from qwen3cli.errors import QwenError
from qwen3cli.machine import Placement
from tests.converters.watched import each
from tests.engines.asking import ask
from tests.engines.conftest import facts_of
from tests.engines.random_model import write_random
from tests.engines.random_schemas import schema
from tests.models.fetching import Shop
from tests.sessions import kills as session_kills
from tests.torture import full_disk, installs, pulls, truncations, weights
from tests.torture.kills import Killed, Moment, Scene
from tests.torture.mutations import Tally
from tests.torture.steps import PHASES, Strike
from tests.torture.subjects import SUBJECTS

_MUTATIONS, _KILLS_A_MODE, _PULLS, _SESSIONS, _SCHEMAS = 10_000, 56, 200, 200, 1_000
_CALL_TOKENS = 16_000
_LONGEST = 300
_CLASSES_SHOWN = 40
Suite = Callable[[Path, argparse.Namespace], list[str]]


def mutations(folder: Path, options: argparse.Namespace) -> list[str]:
    """Random damage; what went wrong."""
    tally = Tally()
    count = options.count or _MUTATIONS
    for seed, outcome in each(
        "tests.torture.mutations:mutate", range(options.seed, options.seed + count), folder
    ):
        tally.add(seed, outcome)
    for subject in SUBJECTS:
        whole, refused = (tally.outcomes[subject, outcome] for outcome in ("file", "sentence"))
        print(f"  {subject:20} {whole:6,} whole files {refused:6,} sentences")
    print(f"  {'all':20} {tally.count('file'):6,} whole files {tally.count('sentence'):6,} sentences")
    print(f"  {len(tally.reasons) - 1} classes of sentences; the most frequent:")
    for reason, number in tally.reasons.most_common(_CLASSES_SHOWN):
        print(f"  {number:6,}  {reason}")
    (seconds, slow), (growth, large) = tally.slowest, tally.largest
    print(
        f"  slowest: {seconds:.2f} s (mutation {slow}); most memory: {growth / 1e6:.1f} MB (mutation {large})"
    )
    return tally.failures


def odd_weights(folder: Path, options: argparse.Namespace) -> list[str]:
    """Every recipe with numbers that weights never are; what went wrong."""
    failures: list[str] = []
    outcomes: Counter[str] = Counter()
    listed = list(weights.odd_ones())
    if options.count:
        listed = random.Random(options.seed).sample(listed, options.count)
    for argument, outcome in each("tests.torture.weights:attempt", weights.arguments(listed), folder):
        odd = weights.Odd(**argument)
        problem = outcome.failure or weights.judged(odd, outcome.value)
        if problem:
            failures.append(f"{odd}: {problem}")
        else:
            outcomes["sentences" if "sentence" in outcome.value else "whole files"] += 1
    print(
        f"  {len(listed):,} conversions: {outcomes['whole files']:,} whole files, {outcomes['sentences']:,} sentences"
    )
    return failures


def cut_files(folder: Path, options: argparse.Namespace) -> list[str]:
    """Files cut off at every byte; what was taken for whole."""
    failures: list[str] = []
    for name, refused, taken in truncations.every_cut(folder):
        print(f"  {name:24} {refused:6,} refused")
        failures += [f"{name}: cut to {size} bytes it is taken for whole" for size in taken]
    return failures


def kills(folder: Path, options: argparse.Namespace) -> list[str]:
    """SIGKILL at moments of all phases; what was left that must not be."""
    scene = Scene(folder)
    moments = list(scene.moments(options.count or _KILLS_A_MODE))
    failures: list[str] = []

    def strike(number: int, moment: Moment) -> Killed | None:
        try:
            return scene.strike(moment, number)
        except (AssertionError, OSError, ValueError) as error:
            failures.append(f"{moment}: {error}")
            return None

    with ThreadPoolExecutor(2) as pool:
        killed = [one for one in pool.map(strike, range(len(moments)), moments) if one]
    found = Counter((one.phase, one.found) for one in killed)
    print(f"  {len(killed)} kills; runs that were over before: {len(moments) - len(killed) - len(failures)}")
    print(f"  {'':24} {'kills':>6}  then there was {'nothing':>8} {'the old':>8} {'the new':>8}")
    for phase in PHASES:
        nothing, old, new = (found[phase, what] for what in ("absent", "old", "new"))
        print(f"  {phase:24} {nothing + old + new:6} {nothing:24} {old:8} {new:8}")
    failures += [
        f"no kill in the phase `{phase}`" for phase in PHASES if not any(one.phase == phase for one in killed)
    ]
    return failures


def downloads(folder: Path, options: argparse.Namespace) -> list[str]:
    """SIGKILL at moments of all phases of a download; what was wrong afterwards, or sent twice."""
    failures: list[str] = []
    with Shop(pulls.BUFFER) as shop, ThreadPoolExecutor(2) as pool:
        scene = pulls.Pulls(folder, shop)
        strikes = list(scene.strikes(options.count or _PULLS))

        def strike(number: int, moment: tuple[str | None, Strike]) -> pulls.Cut | None:
            try:
                return scene.strike(moment[1], number)
            except (AssertionError, OSError) as error:
                failures.append(f"{moment}: {error}")
                return None

        cuts = [one for one in pool.map(strike, range(len(strikes)), strikes) if one]
    print(f"  {len(cuts)} kills; runs that were over before: {len(strikes) - len(cuts) - len(failures)}")
    print(f"  {'':24} {'kills':>6}  sent twice, in MiB: {'mean':>6} {'most':>6}")
    for phase in pulls.PHASES:
        again = [one.again / pulls.CHUNK for one in cuts if one.phase == phase]
        mean = sum(again) / max(len(again), 1)
        print(f"  {phase:24} {len(again):6} {mean:27.2f} {max(again, default=0):6.2f}")
        if not again:
            failures.append(f"no kill in the phase `{phase}`")
    failures += [f"{one.phase}: {one.again:,} bytes sent twice" for one in cuts if one.again > pulls.ALLOWED]
    return failures


def whole_pulls(folder: Path, options: argparse.Namespace) -> list[str]:
    """SIGKILL at moments of all phases of `qwen3 pull`; what was wrong afterwards."""
    failures: list[str] = []
    killed: list[installs.Killed] = []
    with installs.Installs(folder) as scene:
        strikes = list(scene.strikes(options.count or _PULLS))
        for number, (road, strike) in enumerate(strikes):
            try:
                one = scene.strike(road, strike, number)
            except (AssertionError, OSError) as error:
                failures.append(f"{road.repository.id}, {strike}: {error}")
            else:
                killed += [one] if one else []
    print(f"  {len(killed)} kills; runs that were over before: {len(strikes) - len(killed) - len(failures)}")
    print(
        f"  {'':24} {'kills':>6}  then there was {'nothing':>8} {'the new':>8}  sent twice, at most, in MiB"
    )
    for phase in installs.PHASES:
        own = [one for one in killed if one.phase == phase]
        new = sum(one.found == "new" for one in own)
        most = max((one.again / pulls.CHUNK for one in own), default=0)
        print(f"  {phase:24} {len(own):6} {len(own) - new:24} {new:8} {most:28.2f}")
        if not own:
            failures.append(f"no kill in the phase `{phase}`")
    return failures


def sessions(folder: Path, options: argparse.Namespace) -> list[str]:
    """SIGKILL at writes of a session, and at any time; what was lost of what was confirmed."""
    failures: list[str] = []
    spread: Counter[tuple[str, bool]] = Counter()
    chance = random.Random(options.seed)
    for seed in range(options.seed, options.seed + (options.count or _SESSIONS)):
        how = chance.choice([*session_kills.HOW, ""])
        place, at = folder / str(seed), chance.randint(1, session_kills.WRITES)
        try:
            if how:
                told = session_kills.killed(place, seed, at, how)
            else:
                told = session_kills.killed(place, seed, seconds=chance.random() * 0.01)
            session_kills.check(place, seed, told)
        except (AssertionError, QwenError) as error:
            failures.append(f"session {seed}, {how or 'at any time'}: {error}")
        else:
            spread[f"{how} a write" if how else "at any time", told == session_kills.LENGTH] += 1
    for (how, over), number in sorted(spread.items()):
        print(f"  {how:24} {number:6} kills{' when all was said' if over else ''}")
    return failures


def disk(folder: Path, options: argparse.Namespace) -> list[str]:
    """A disk without room; what went wrong."""
    told = full_disk.run_cases(folder)
    if isinstance(told, str):
        print(f"  left out, since no disk can be mounted here: {told}")
        return []
    for one in told:
        print(f"  {one.case:40} {' '.join(one.said.split()).replace(str(folder), '')[:150]}")
    return [f"{one.case}: {one.problem}: {one.said}" for one in told if one.problem]


def grammars(folder: Path, options: argparse.Namespace) -> list[str]:
    """A call of each of many random schemas, demanded of random weights; those that are not valid."""
    engine = open_engine(facts_of(write_random(folder / "random.gguf")), Placement(16384, threads=1))
    seeds = range(options.seed, options.seed + (options.count or _SCHEMAS))
    sizes: list[int] = []
    failures: list[str] = []
    try:
        for seed in seeds:
            try:
                sizes.append(_called(engine, seed, schema(seed)))
            except Exception as error:
                failures.append(f"schema {seed}: {type(error).__name__}: {error}".splitlines()[0][:_LONGEST])
    finally:
        engine.close()
    print(
        f"  {len(seeds):,} schemas: {len(sizes):,} valid calls; the longest: {max(sizes, default=0):,} bytes"
    )
    return failures


def _called(engine: Engine, seed: int, wanted: dict[str, Any]) -> int:
    """The bytes of a call of a tool with that schema; raises where there is none, or it is not valid."""
    sampling = Sampling(1, 1, 0, 0, presence_penalty=1.5 * (seed % 2), seed=seed)
    events = ask(
        engine,
        sampling,
        tools=(ToolSpec("look", "", wanted),),
        tool_choice="required",
        thinking=False,
        max_tokens=_CALL_TOKENS,
    )
    call = next(event.call for event in events if isinstance(event, ToolCalled))
    jsonschema.Draft202012Validator(wanted).validate(dict(call.arguments))
    return len(json.dumps(dict(call.arguments), ensure_ascii=False).encode())


SUITES: dict[str, Suite] = {
    "mutations": mutations,
    "truncations": cut_files,
    "weights": odd_weights,
    "kills": kills,
    "downloads": downloads,
    "pulls": whole_pulls,
    "sessions": sessions,
    "disk": disk,
    "grammars": grammars,
}


def main(arguments: Sequence[str]) -> int:
    """Runs the suites that are named, or all; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--count", type=int, default=0, help="how many; kills: for each of the four modes")
    parser.add_argument("--seed", type=int, default=0, help="of the first mutation or schema, or of a sample")
    options = parser.parse_args(arguments)
    failed = False
    for name in options.suite or SUITES:
        print(f"{name}:", flush=True)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            failures = SUITES[name](Path(folder).resolve(), options)
        for failure in failures:
            print(f"  FAILED {failure}")
        failed = failed or bool(failures)
        print(f"  {len(failures)} failures in {time.monotonic() - begin:.0f} s\n", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
