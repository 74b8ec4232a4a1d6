"""Whether a small model's drafts pay, and how long they should be: what making them takes, against what comes of it.

A token that is looked up costs nothing until it is evaluated; one of a small model has been computed before. So it is
asked for one more only as long as the chance that this one comes is worth the time of computing it twice, and drafts
that bring less than they take are given up, until what was learned of them is old.
"""

from __future__ import annotations

from qwen3cli.engines.llama.pace import GAIN, Acceptance, Account, Costs

_HOPED = 0.8
"""The chance that a token is right that a small model drafts, before there was any: who names one has a reason."""
_WORTH = 3.0
"""How many drafts that hope is worth."""
_FORGETS = 0.9
_FADES = 0.995
"""What is left of an opinion after a token that no small model drafted: or a wrong one would never be put right."""
_SHADES = 8
"""Steps of sureness that are told apart."""
_REMEMBERS = 0.98
_LASTS = 1000
"""Tokens after which what was not tried is measured again: another program may have had the machine then."""
AT_ONCE = 16
"""Tokens that it reads along with the newest one: more of them are a price of their own."""


class Bet:
    """A draft in the making: the tokens that are `taken` into it, and perhaps one more that was thought of."""

    def __init__(self, stakes: Stakes, most: int) -> None:
        self._stakes = stakes
        self._most = most
        self._power = 1.0
        self.tokens: list[int] = []
        self.shades: list[int] = []
        self.taken = 0

    @property
    def draft(self) -> list[int]:
        """What is evaluated."""
        return self.tokens[: self.taken]

    def takes(self, token: int, sureness: float, *, ends: bool) -> bool:
        """Whether a token pays of which the small model is so sure: its chance is worth what it adds to the batch.

        One that `ends` the text never does: it is not evaluated when it comes.
        """
        # NaN, which damaged weights compute, is sure of nothing.
        shade = min(int(sureness * _SHADES), _SHADES - 1) if sureness > 0 else 0
        self.tokens.append(token)
        self.shades.append(shade)
        chance = self._power * self._stakes.chance(shade)
        if ends or self.taken >= self._most or chance < self._stakes.worth(self._stakes.wider(self.taken)):
            return False
        self._power = chance
        self.taken += 1
        return True

    def goes_on(self) -> bool:
        """Whether the small model is asked for one more, of which it is not known yet how sure it is."""
        stakes = self._stakes
        chance = self._power * stakes.typical
        return self.taken < self._most and chance >= stakes.worth(stakes.step + stakes.wider(self.taken))


class Stakes:
    """Decides whether a small model is asked, and learns from what came of it.

    `large` has the times of the model that is drafted for, `small` those of the one that drafts.
    """

    def __init__(self, large: Costs, small: Costs, share: float) -> None:
        """Of all time `share` may be lost."""
        self._large = large
        self._small = small
        self._account = Account(share)
        self._by_shade = Acceptance(lambda shade: (shade + 0.5) / _SHADES, _REMEMBERS)
        self._any = Acceptance(lambda _kind: _HOPED, _REMEMBERS)
        self._came = self._cost = 0.0
        self._hope = _WORTH
        self.gain = GAIN
        """How many times as fast its drafts make it, as far as they have shown it, else as is to be hoped."""
        self._waited = self._unasked = 0
        self._has_read = self._trusted = False

    def begin(self) -> None:
        """A generation begins."""
        self._waited = 0

    def appended(self) -> None:
        """A token more."""
        self._waited += 1

    @property
    def pays(self) -> bool:
        """Whether it is to be expected that its drafts are worth their while."""
        return self.gain >= GAIN

    @property
    def step(self) -> float:
        """What asking the small model for a token takes, in single tokens of the large one."""
        single = self._large.seconds(1)
        return self._small.seconds(1) / single if single else 0.0

    @property
    def typical(self) -> float:
        """The chance that the next token of the small model is right."""
        return self._any.of(0)

    def chance(self, shade: int) -> float:
        """The chance that a token is right of which the small model is so sure."""
        return self._by_shade.of(shade)

    def wider(self, taken: int) -> float:
        """What one more token adds to a batch with so many drafted ones, in single tokens."""
        return self._large.of(taken + 2) - self._large.of(taken + 1)

    def worth(self, time: float) -> float:
        """The tokens that come in such a time anyway, in single tokens: what a chance has to be worth taking.

        By the theory of renewals that is the pace in the long run.
        """
        return time * max(1.0, self.gain)

    def asks(self, lag: int, price: float) -> bool:
        """Whether the small model is asked now, which has `lag` tokens to read before, in `price` seconds.

        Reading much is an investment, made once it costs no more than what doing without it has cost: so whatever
        comes, it is not much dearer than what would have been best. The first one is made on trust.
        """
        single = self._large.seconds(1)
        if not single or not self.pays:
            return False
        if lag <= AT_ONCE:
            return self._account.affords()
        if price > self._waited * single * (1 - 1 / self.gain):
            return False
        return self._account.affords(price) or not self._has_read

    def bet(self, most: int) -> Bet:
        """A draft that begins, of at most so many tokens."""
        return Bet(self, min(most, self._large.within_reach))

    def sampled(self, seconds: float) -> None:
        """It was seen how long the small model takes to read a few tokens."""
        self._unasked = 0
        self._account.won(-seconds)

    def read(self, seconds: float) -> None:
        """The small model has read what it lacked."""
        if self._has_read:
            self._account.won(-seconds)
        self._has_read = True

    def computed(self, size: int, seconds: float, bet: Bet | None) -> None:
        """A batch of `size` tokens was computed, with what became of the bet if there was one."""
        self._account.passed(seconds)
        single = self._large.seconds(1)
        if single and not self._trusted:
            self._account.trust(single)
            self._trusted = True
        if bet is None:
            self._came, self._cost = self._came * _FADES, self._cost * _FADES
            self._hope = _WORTH - (_WORTH - self._hope) * _FADES
            self._unasked += 1
            if self._unasked >= _LASTS:
                self._unasked = 0
                self._small.forget()
                self._large.forget(but=1)
            if single:
                self._judge()
            return
        self._unasked = 0
        self._account.won(-len(bet.tokens) * self.step * single)
        if size > 1:
            self._account.checked_batch(size, seconds, single)

    def checked(self, bet: Bet, right: int, token: int) -> None:
        """So many drafted tokens came, and then another `token`."""
        for number in range(min(right + 1, bet.taken)):
            self._note(bet.shades[number], right=number < right)
        if right == bet.taken < len(bet.tokens):
            self._note(bet.shades[right], right=bet.tokens[right] == token)
        self._hope *= _FORGETS
        self._came = self._came * _FORGETS + 1 + right
        self._cost = self._cost * _FORGETS + self._large.of(1 + bet.taken) + len(bet.tokens) * self.step
        self._account.won(right * self._large.seconds(1))
        self._judge()

    def _judge(self) -> None:
        self.gain = (self._came + self._hope * self._hoped()) / (self._cost + self._hope)

    def _hoped(self) -> float:
        """The gain of drafts that are as good as they are hoped to be, and as long as suits them best."""
        best, came, chance, length = 1.0, 1.0, 1.0, 0
        while True:
            length, chance = length + 1, chance * _HOPED
            came += chance
            gain = came / (self._large.of(length + 1) + length * self.step)
            if gain < best or length >= self._large.within_reach:
                return max(best, gain)
            best = gain

    def _note(self, shade: int, *, right: bool) -> None:
        self._by_shade.note(shade, 1, int(right))
        self._any.note(0, 1, int(right))
