"""Texts of others, made visible; and addresses, which lead everybody to the same place or are none."""

from __future__ import annotations

import pytest

from qwen3cli.tools.expand import is_url
from qwen3cli.tools.showing import command_line, lines_of, one_line, quoted, site_of


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://bank.example/x", "to the site bank.example"),
        ("https://bank.example:8443@evil.example/", "to the site evil.example; what stands before the `@`"),
        ("https://b\u0430nk.example/", "to the site xn--bnk-6cd.example"),
        ("http://[fe80::1%25eth0]:80/", "to the site fe80::1%25eth0"),
    ],
)
def test_where_an_address_leads_is_said(url: str, site: str) -> None:
    assert is_url(url)
    assert site_of(url).startswith(site)


@pytest.mark.parametrize(
    "url",
    [
        # Browsers go to evil.example, Python to bank.example.
        "https://evil.example\\@bank.example/",
        "https://evil%2eexample/",
        "https://evil.example\uff0fbank.example/",
        *("https://bank.example/\n", "https://bank.example/a b", "https:///bank.example", "//bank.example"),
        *("javascript:alert(1)", "file:///etc/passwd", "https://x:99999/", "https://[::1/"),
    ],
)
def test_what_leads_elsewhere_or_nowhere_is_no_address(url: str) -> None:
    assert not is_url(url)


def test_what_cannot_be_seen_is_written_out() -> None:
    assert (
        one_line("a\nb\t\u200b\u202e\u3164\ufe0f\U0001d159")
        == "a\\nb\\t\\u200b\\u202e\\u3164\\ufe0f\\U0001d159"
    )
    assert lines_of("a\r\nb\rc") == ["a", "b\\rc"]
    assert quoted("\u200b") == '"\\u200b"'
    assert (
        command_line("sh", ["-c", "a" + " " * 17 + "b", " " * 16])
        == "sh -c 'a [17 blanks] b' '" + " " * 16 + "'"
    )
