from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.tools import validation as module
from qwen3cli.tools.validation import Validation
from tests.tools.random_schemas import URIS


@pytest.fixture(scope="module")
def validation() -> Iterator[Validation]:
    one = Validation()
    yield one
    one.close()


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (of(n={"type": "integer"}), {"n": 3}, []),
        (of(n={"type": "integer"}), {"n": "3"}, ['`n` must be a whole number, but is a string: "3".']),
        (
            of(n={"type": ["number", "null"]}),
            {"n": True},
            ["`n` must be a number or null, but is a boolean: true."],
        ),
        ({**of(), "required": ["a", "b"]}, {}, ["The arguments lack `a`, `b`."]),
        (of(at=PLACE), {"at": {}}, ["`at` lacks `city`."]),
        (of(u={"enum": ["c", "f", 1]}), {"u": "k"}, ['`u` must be one of "c", "f", 1, but is "k".']),
        (
            {**of(path={}, limit={}), "additionalProperties": False},
            {"pth": 1},
            ["The arguments have `pth`, which does not belong there; perhaps `path` is meant."],
        ),
        (
            {**of(path={}), "additionalProperties": False},
            {"x": 1},
            ["The arguments have `x`, which does not belong there; there are `path`."],
        ),
        (
            {**of(), "additionalProperties": False},
            {"x": 1},
            ["The arguments have `x`, which does not belong there; nothing is to be given."],
        ),
        (of(n={"minimum": 1}), {"n": 0}, ["`n` must be at least 1, but is 0."]),
        (of(s={"pattern": "^a"}), {"s": "b"}, ['`s` must match the pattern "^a", but is "b".']),
        (
            of(l={"items": {"maxLength": 1}}),
            {"l": ["a", "bb"]},
            ['`l[1]` must have at most 1 characters, but is "bb".'],
        ),
        (
            of(x={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            {"x": 1},
            ["`x` must be a string or null, but is a number: 1."],
        ),
        (
            of(x={"anyOf": [{"type": "string"}, PLACE]}),
            {"x": {"city": 1}},
            ["`x` fits none of its 2 forms; in the closest, `x.city` must be a string, but is a number: 1."],
        ),
        (of(x={"oneOf": [{}, {}]}), {"x": 1}, ["`x` must fit one of its 2 forms alone, but fits several."]),
        (of(x={"not": {}}), {"x": 1}, ["`x` must not be of this form, but is 1."]),
        (
            of(s={"maxLength": 1}),
            {"s": "x" * 1000},
            ['`s` must have at most 1 characters, but is "' + "x" * 78 + "…."],
        ),
        (of(s={"format": "date"}), {"s": "tomorrow"}, []),
        # The library itself fails here, which would end the child.
        ({"$schema": URIS[7], **of(l={"items": True, "additionalItems": False})}, {"l": [1]}, []),
        (
            {"$schema": URIS[7], **of(l={"items": [True], "additionalItems": False})},
            {"l": [1, 2]},
            ["`l` does not fit: Additional items are not allowed (2 was unexpected)."],
        ),
        (
            of(t={"dependentRequired": {"a": ["b"]}}),
            {"t": {"a": 1}},
            ["`t` does not fit: 'b' is a dependency of 'a'."],
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(
    validation: Validation, schema: dict[str, Any], value: Any, said: list[str]
) -> None:
    assert validation.problem(schema) == (None, [])
    assert validation.complaints(schema, value) == said


def test_a_few_complaints_are_enough(validation: Validation) -> None:
    many = of(l={"items": {"type": "integer"}})
    assert len(validation.complaints(many, {"l": ["x"] * 100_000})) == 5


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": 1}, "has something at `properties` that is no schema"),
        (of(a={"type": "text"}), "has something at `properties/a"),
        ({"type": "object", "required": "a"}, "`required`"),
        (of(a={"$ref": "#/$defs/A"}), "refers to `/$defs/A`, which is not in it"),
        (of(a={"$ref": "https://127.0.0.1:9/a.json"}), "refers to `https://127.0.0.1:9/a.json`"),
        (of(a={"enum": list(range(30_000))}), "is too large"),
    ],
)
def test_a_broken_schema_is_named(validation: Validation, schema: dict[str, Any], said: str) -> None:
    problem, _ = validation.problem(schema)
    assert said in (problem or "")


def test_patterns_of_other_dialects_constrain_nothing(validation: Validation) -> None:
    schema = {
        **of(a={"pattern": r"^\p{L}+$"}, b={"pattern": "^x"}),
        "patternProperties": {"(?<n>y)": False},
        "additionalProperties": False,
    }
    assert validation.problem(schema) == (None, ["(?<n>y)", r"^\p{L}+$"])
    assert validation.complaints(schema, {"a": "!", "b": "x", "y": 1, "z": 1}) == []
    assert len(validation.complaints(schema, {"b": "y"})) == 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (of(a={"pattern": "^(a+)+$"}), {"a": "a" * 60 + "!"}),
        (of(a={"pattern": "((a{1,500}){1,500}){1,500}$"}), {"a": "a" * 600 + "!"}),
        (
            {
                "$ref": "#/$defs/d0",
                "$defs": {
                    **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)},
                    "d40": {},
                },
            },
            {"a": 1},
        ),
        ({"allOf": [{"$ref": "#"}]}, {"a": 1}),
    ],
)
def test_a_hostile_schema_hangs_nobody(
    schema: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Validation()
    try:
        # Started before its time is cut short.
        assert one.complaints(of(), {}) == []
        monkeypatch.setattr(module, "_LIMIT_S", 0.5)
        (complaint,) = one.complaints(schema, value)
        assert "could not be checked" in complaint
        monkeypatch.undo()
        assert one.complaints(of(a={"const": 1}), {"a": 2}) == ["`a` must be 1, but is 2."]
    finally:
        one.close()


def test_a_child_left_alone_in_a_pattern_ends_by_itself() -> None:
    code = "import qwen3cli.tools.checker as checker; checker.TIME_LIMIT_S = 0.2; checker.main()"
    schema = '{"properties": {"a": {"pattern": "^(a+)+$"}}}'
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(f'{{"schema": {schema}, "value": {{"a": "{"a" * 60}!"}}}}\n'.encode())
    child.stdin.flush()
    assert child.wait(30) == -signal.SIGALRM
    child.stdin.close()


def test_nothing_is_fetched(validation: Validation) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/schema.json"
        problem, _ = validation.problem(of(a={"$ref": url}))
        assert url in (problem or "")
        validation.complaints(of(a={"$ref": url}), {"a": 1})
        validation.complaints({"$schema": url, **of(a={})}, {"a": 1})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == []


def test_a_killed_child_is_replaced(validation: Validation) -> None:
    assert validation.complaints(of(), {}) == []
    process = validation._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    process.kill()
    process.wait()
    assert validation.complaints(of(), {}) == []


def test_the_child_goes_with_its_parent() -> None:
    code = (
        "import os, signal\nfrom qwen3cli.tools.validation import Validation\n"
        "v = Validation(); v.complaints({}, {}); print(v._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(500):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.01)
    pytest.fail("the child lives on")


def test_a_file_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('mine')")
    (tmp_path / "jsonschema.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    one = Validation()
    try:
        assert one.complaints(of(), {}) == []
    finally:
        one.close()
