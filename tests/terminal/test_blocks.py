from __future__ import annotations

import pytest

from qwen3cli.terminal.blocks import is_open, unquote


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ('"""', True),
        ('  """first', True),
        ('"""first\nsecond', True),
        ('/set system """You', True),
        ('"""a"""', False),
        ('"""a\nb"""', False),
        ("plain", False),
        ('say """ here', False),
        ('/set system """a"""', False),
        ('x = """\ncode', False),
        ('"""\nx = """doc"""', True),
        ('"""\nx = """doc"""\n"""', False),
        ('"""\ndef f():\n    """\n    doc\n    """', True),
        ('"""\nthe end"""', False),
        ('/set system """\na = """b"""', True),
    ],
)
def test_is_open(text: str, open_: bool) -> None:
    assert is_open(text) is open_


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('"""a"""', "a"),
        ('"""\na\n  b\n"""', "a\n  b"),
        (' """a""" \n', "a"),
        ('""""""', ""),
        ("plain", "plain"),
        ('"""a""" b', '"""a""" b'),
        ('"""doc"""\nx = """y"""', '"""doc"""\nx = """y"""'),  # pasted code stays as it is
        ('"""\nx = """doc"""\n"""', 'x = """doc"""'),
        ('"""\ndoc\n"""\nx = 1\n"""y"""', '"""\ndoc\n"""\nx = 1\n"""y"""'),
        ('"', '"'),
        ('"""', '"""'),
    ],
)
def test_unquote(text: str, inside: str) -> None:
    assert unquote(text) == inside
