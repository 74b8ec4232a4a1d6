"""Schemas, each with texts that follow it and texts that do not."""

from __future__ import annotations

from typing import Any

CASES: dict[str, tuple[Any, list[str], list[str]]] = {
    "integer bounds": (
        {"type": "integer", "minimum": -12, "exclusiveMaximum": 130},
        ["-12", "-9", "-1", "0", "7", "99", "100", "129"],
        ["-13", "-20", "-0", "00", "130", "200", "1000", "1.0", "1e1", "+1", "07"],
    ),
    "integer from below": (
        {"type": "integer", "minimum": 95}, ["95", "100", "123456789012345678"], ["94", "9", "-95", "0"],
    ),
    "integer far below zero": ({"type": "integer", "maximum": -7}, ["-7", "-10", "-999"], ["-6", "0", "7", "-"]),
    "huge bounds": (
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        ["9007199254740991", "-9007199254740991", "0"],
        ["9007199254740992", "-9007199254740992"],
    ),
    "number bounds": (
        {"type": "number", "minimum": 0.25, "exclusiveMaximum": 12.5},
        ["0.25", "0.250", "0.3", "1", "9.999999", "12", "12.4", "12.499999"],
        ["0.2", "0.249999", "0", "12.5", "12.50", "12.6", "13", "-1", "1e1", ".5", "1."],
    ),
    "number below zero": (
        {"type": "number", "exclusiveMinimum": -1.5, "maximum": -0.5},
        ["-1.4", "-1", "-0.5", "-1.499", "-0.6"],
        ["-1.5", "-1.50", "-0.4", "-0", "0", "1", "-2"],
    ),
    "number above zero": (
        {"type": "number", "exclusiveMinimum": 0},
        ["0.1", "3", "123456.5", "0.000001"],
        ["0", "0.0", "-1", "-0.1"],
    ),
    "number of one point": (
        {"type": "number", "minimum": 2.5, "maximum": 2.5}, ["2.5", "2.50"], ["2", "2.4", "2.51", "3"],
    ),
    "bounds of draft 4": ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, ["4"], ["3", "2"]),
    "any number": ({"type": "number"}, ["0", "-1.5", "1e5", "2.5E-12", "-0"], ["01", "1.", "NaN", "1e999", "--1"]),
    "lengths count characters": (
        {"type": "string", "minLength": 2, "maxLength": 3},
        ['"ab"', '"中文字"', '"\\n\\u00e9"', '"\\ud83d\\ude00x"', '"😀😀"'],
        ['"a"', '"abcd"', '"\\ud83d\\ude00"', "ab", '"ab'],
    ),
    "long lengths": (
        {"type": "string", "minLength": 700, "maxLength": 1300},
        [f'"{"x" * n}"' for n in (700, 701, 1023, 1024, 1280, 1299, 1300)],
        [f'"{"x" * n}"' for n in (0, 699, 1301, 1400)],
    ),
    "strings": (
        {"type": "string"},
        ['""', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"a b"', '"\\uABCD"', '"\u00a0\ue000"'],
        ['"\n"', '"\t"', '"\x7f"', '"\x85"', '"\\x"', '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', "'a'"],
    ),
    "a pattern with a length": (
        {"type": "string", "pattern": "^[a-z][a-z0-9-]*$", "minLength": 3, "maxLength": 5},
        ['"abc"', '"a-1"', '"abcde"'],
        ['"ab"', '"abcdef"', '"1bc"', '"aBc"'],
    ),
    "a pattern that stands anywhere": (
        {"type": "string", "pattern": "b+c"},
        ['"abbcd"', '"bc"'],
        ['"bd"', '"b"', '""'],
    ),
    "alternatives with borders of their own": (
        {"type": "string", "pattern": "^ab|yz$"},
        ['"abq"', '"qyz"'],
        ['"qab"', '"yzq"'],
    ),
    "a pattern of what JSON escapes": (
        {"type": "string", "pattern": '^["\\\\\\n]{3}$'},
        ['"\\"\\\\\\n"', '"\\n\\n\\n"'],
        ['"\\n\\n"', '"abc"', '"\n\n\n"'],
    ),
    "an address as zod writes it": (
        {"type": "string", "pattern": r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@"
         r"([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"},
        ['"a@b.co"', '"o\'neil.x+y@mail.example.org"'],
        ['".a@b.co"', '"a..b@c.de"', '"a.@b.co"', '"a@b"', '"a@b..co"', '"a\'@b.co"'],
    ),
    "date": (
        {"type": "string", "format": "date"},
        ['"2024-02-29"', '"2023-12-31"', '"2000-02-29"', '"1999-04-30"'],
        ['"2023-02-29"', '"1900-02-29"', '"2023-13-01"', '"2023-04-31"', '"2023-1-1"', '"0000-01-01"', '"today"'],
    ),
    "date-time": (
        {"type": "string", "format": "date-time"},
        ['"2024-05-06T07:08:09Z"', '"2024-05-06T23:59:59.125+02:00"'],
        ['"2024-05-06 07:08:09Z"', '"2024-05-06T24:00:00Z"', '"2024-05-06T07:08:09"'],
    ),
    "uuid": (
        {"type": "string", "format": "uuid"},
        ['"123e4567-e89b-12d3-a456-426614174000"'],
        ['"123e4567-e89b-12d3-a456-42661417400"', '"g23e4567-e89b-12d3-a456-426614174000"'],
    ),
    "enum of anything": (
        {"enum": ["red", "redder", 1, None, {"a": [True, "é"]}, ""]},
        ['"red"', '"redder"', "1", "null", '{"a": [true, "é"]}', '""'],
        ['"redd"', '"re"', "2", '{"a":[true,"é"]}', "true", '"\\u0072ed"'],
    ),
    "enum within a type": ({"type": "string", "enum": ["a", 1], "maxLength": 3}, ['"a"'], ["1"]),
    "enum within bounds": ({"enum": [1, 5, 9], "minimum": 4}, ["5", "9"], ["1"]),
    "const": ({"const": {"k": None}}, ['{"k": null}'], ["{}"]),
    "properties in order": (
        {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2},
         "c": {"const": 3}}, "required": ["b"]},
        ['{"b": 2}', '{"a": 1, "b": 2}', '{"b": 2, "c": 3}', '{"a": 1, "b": 2, "c": 3}'],
        ["{}", '{"a": 1}', '{"b": 2, "a": 1}',
         '{"b": 2, }', '{, "b": 2}', '{"b":2}', '{"b": 2, "d": 4}', '{"b": 2, "b": 2}'],
    ),
    "only optional properties": (
        {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}},
        ["{}", '{"a": 1}', '{"b": 2}', '{"a": 1, "b": 2}'],
        ["{ }", '{"a": 1,}'],
    ),
    "not empty": (
        {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "minProperties": 1},
        ['{"a": 1}', '{"b": 2}'],
        ["{}"],
    ),
    "other properties": (
        {"type": "object", "properties": {"ab": {"const": 1}},
         "additionalProperties": {"type": "null"}, "maxProperties": 3},
        ["{}", '{"ab": 1}', '{"a": null}', '{"abc": null, "x": null}', '{"ab": 1, "b": null}'],
        ['{"ab": null}', '{"a": 1}', '{"": null}', '{"x": null, "y": null, "z": null}', '{"\\u0061b": null}'],
    ),
    "other properties forbidden": (
        {"type": "object", "properties": {}, "additionalProperties": False}, ["{}"], ['{"a": 1}'],
    ),
    "a required property that is not declared": (
        {"type": "object", "properties": {"a": {"const": 1}}, "required": ["z"]},
        ['{"a": 1, "z": true}'],
        ["{}", '{"a": 1}'],
    ),
    "names by pattern": (
        {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "null"}}, "additionalProperties": False},
        ["{}", '{"ab": null, "c": null}'],
        ['{"A": null}', '{"a": 1}'],
    ),
    "array counts": (
        {"type": "array", "items": {"const": 0}, "minItems": 2, "maxItems": 3},
        ["[0, 0]", "[0, 0, 0]"],
        ["[]", "[0]", "[0, 0, 0, 0]", "[0,0]", "[0, 0, ]"],
    ),
    "array without items": ({"type": "array", "maxItems": 0}, ["[]"], ["[1]", "[ ]"]),
    "tuple": (
        {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3},
         "minItems": 1, "maxItems": 4},
        ["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2, 3, 3]"],
        ["[]", "[2]", "[1, 3]", "[1, 2, 3, 3, 3]"],
    ),
    "tuple and nothing else": (
        {"prefixItems": [{"const": 1}], "items": False, "minItems": 1},
        ["[1]"],
        ["[1, 1]", "[]"],
    ),
    "types": ({"type": ["null", "boolean"]}, ["null", "true", "false"], ["0", '"null"', "nul"]),
    "anyOf with a base": (
        {"type": "integer", "anyOf": [{"maximum": 2}, {"minimum": 8}], "minimum": 0},
        ["0", "2", "8", "80"],
        ["3", "7", "-1"],
    ),
    "allOf": (
        {"allOf": [{"type": "object", "properties": {"a": {"minimum": 2}}, "required": ["a"]},
                   {"properties": {"a": {"type": "integer", "maximum": 3}, "b": {"const": 1}}}]},
        ['{"a": 2}', '{"a": 3, "b": 1}'],
        ["{}", '{"a": 1}', '{"a": 4}', '{"b": 1}'],
    ),
    "allOf of closed objects": (
        {"allOf": [{"properties": {"a": True}, "additionalProperties": False},
         {"properties": {"a": {"const": 1}, "b": True}}]},
        ["{}", '{"a": 1}'],
        ['{"b": 1}', '{"a": 2}'],
    ),
    "references": (
        {"$defs": {"a/b": {"type": "integer", "maximum": 5}}, "items": {"$ref": "#/$defs/a~1b"}, "type": "array"},
        ["[]", "[5, -3]"],
        ["[6]"],
    ),
    "recursion": (
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
        ["{}", '{"next": {"next": {}}}'],
        ['{"next": 1}', '{"nex": {}}'],
    ),
    "a reference with something beside it": (
        {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n", "minimum": 3}, ["3"], ["2", '"3"'],
    ),
    "a reference with a type beside it": (
        {"$defs": {"n": {"minimum": 2}}, "items": {"$ref": "#/$defs/n", "type": "integer"}, "type": "array"},
        ["[2]"],
        ["[1]", "[2.5]"],
    ),
    "a reference with values beside it": (
        {"$defs": {"n": {"type": "string"}}, "type": "object", "required": ["a", "b"],
         "properties": {"a": {"$ref": "#/$defs/n", "const": "x"}, "b": {"$ref": "#/$defs/n", "enum": ["y", 1]}}},
        ['{"a": "x", "b": "y"}'],
        ['{"a": "y", "b": "y"}', '{"a": "x", "b": "x"}', '{"a": "x", "b": 1}'],
    ),
    "what nothing has spoken of": (
        {"properties": {"a": {"const": 1}}, "allOf": [{"properties": {"b": {"const": 2}}}],
         "unevaluatedProperties": {"const": 3}},
        ["{}", '{"a": 1, "b": 2}', '{"c": 3}'],
        ['{"b": 3}', '{"c": 4}'],
    ),
    "what nothing within a part has spoken of": (
        {"allOf": [{"properties": {"a": {"const": 1}}, "unevaluatedProperties": False},
                   {"properties": {"a": True, "b": {"const": 2}}}]},
        ["{}", '{"a": 1}'],
        ['{"b": 2}', '{"a": 1, "b": 2}'],
    ),
    "no patterns of names": (
        {"patternProperties": {}, "required": ["a"], "additionalProperties": {"type": "null"}},
        ['{"a": null}'],
        ['{"a": 1}', "{}"],
    ),
    "integers that no double holds": (
        {"type": "integer", "minimum": 10**29, "maximum": 10**29 + 66},
        [str(10**29), str(10**29 + 66)],
        [str(10**29 - 1), str(10**29 + 67), str(10**29 + 100)],
    ),
    "numbers between integers that no double holds": (
        {"type": "number", "minimum": 2**53 + 1, "maximum": 2**53 + 3},
        ["9007199254740993", "9007199254740995"],
        ["9007199254740993.0", "9007199254740992", "9007199254740996"],
    ),
    "control characters": (
        {"anyOf": [{"const": "\x9b1m\x7f"}, {"type": "string", "pattern": "^\\x00\\x1b$"}]},
        ['"\\u009b1m\\u007f"', '"\\u0000\\u001b"'],
        ['"\x9b1m\x7f"', '"\x1b"'],
    ),
    "an alternative that cannot be": (
        {"anyOf": [{"enum": []}, {"type": "string", "allOf": [{"type": "null"}]}, {"const": 1}]},
        ["1"],
        ['""'],
    ),
    "true and false": (
        {"type": "object", "properties": {"a": True, "b": False}},
        ["{}", '{"a": [1, {"x": null}]}'],
        ['{"b": 1}'],
    ),
}  # fmt: skip
