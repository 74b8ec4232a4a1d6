from __future__ import annotations

import os
import signal
import termios

import pytest

from qwen3cli.terminal.interrupts import cancelling, typing_ahead


def test_the_first_ctrl_c_cancels_and_the_second_raises() -> None:
    calls: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), cancelling(lambda: calls.append("cancelled")):
        signal.raise_signal(signal.SIGINT)
        assert calls == ["cancelled"]
        signal.raise_signal(signal.SIGINT)
    assert calls == ["cancelled"]
    assert signal.getsignal(signal.SIGINT) is before


def test_each_body_counts_anew() -> None:
    calls: list[str] = []
    for _ in range(2):
        with cancelling(lambda: calls.append("cancelled")):
            signal.raise_signal(signal.SIGINT)
    assert len(calls) == 2


def test_typing_ahead_hides_keys_and_restores() -> None:
    main, secondary = os.openpty()
    with os.fdopen(secondary) as stdin:
        before = termios.tcgetattr(stdin)
        with typing_ahead(stdin):
            flags = termios.tcgetattr(stdin)[3]
            assert not flags & (termios.ECHO | termios.ICANON)
            assert flags & termios.ISIG
            assert flags & termios.NOFLSH
        assert termios.tcgetattr(stdin) == before
    os.close(main)


def test_typing_ahead_needs_no_terminal() -> None:
    with typing_ahead(None), open(os.devnull) as device, typing_ahead(device):  # noqa: PTH123
        pass
