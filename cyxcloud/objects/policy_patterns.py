"""Texts of policies that stand for many: `*`, `?` and variables such as `${aws:username}` (pure).

What a variable gives is taken as it is: a user whose name is `*` matches himself alone. A variable that the request
gives no value for matches nothing. Matching takes time in proportion to pattern times text, whatever a policy's author
writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import NamedTuple

# What a request says of a condition key (in lower case but for the name of a tag): None where it says nothing.
Facts = Callable[[str], tuple[str, ...] | None]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}").finditer
_NAME = re.compile(r"\s*([A-Za-z0-9-]+:[^,'\s]+)\s*(?:,\s*'([^']*)'\s*)?").fullmatch
_LITERALS = frozenset("*?$")


class Wild(Enum):
    ANY_TEXT = auto()
    ANY_ONE = auto()


class Variable(NamedTuple):
    key: str
    default: str | None


Token = str | Wild | Variable


class BadVariable(ValueError):
    """`${...}` that names nothing."""


def nothing(_key: str) -> tuple[str, ...] | None:
    """The facts of a request that says nothing."""
    return None


class Pattern:
    """Compiled where it holds no variable; else compiled anew for each request."""

    __slots__ = ("_glob", "_tokens", "text")

    def __init__(self, text: str, *, wild: bool = True, variables: bool = True) -> None:
        """Raises BadVariable. `wild`: whether `*` and `?` stand for others."""
        self.text = text
        tokens = _tokens(text, wild=wild, variables=variables)
        self._tokens: list[Token] | None = tokens if any(isinstance(each, Variable) for each in tokens) else None
        self._glob = Glob(tokens) if self._tokens is None else None

    @property
    def fixed(self) -> str | None:
        """The one text that it stands for, the same for every request."""
        return None if self._glob is None else self._glob.fixed

    def matches(self, text: str, facts: Facts) -> bool:
        glob = self._glob
        if glob is None:
            filled = self._filled(facts)
            if filled is None:
                return False
            glob = Glob(filled)
        return glob.matches(text)

    def matches_folded(self, text: str, facts: Facts) -> bool:
        """As `matches`, whatever the case of letters."""
        filled = self._filled(facts) if self._tokens is not None else _tokens(self.text, wild=False, variables=True)
        return filled is not None and Glob([_folded(each) for each in filled]).matches(text.casefold())

    def _filled(self, facts: Facts) -> list[Token] | None:
        filled: list[Token] = []
        for each in self._tokens or ():
            if not isinstance(each, Variable):
                filled.append(each)
                continue
            values = facts(each.key)
            if values is not None and len(values) == 1:
                filled.append(values[0])
            elif values is None and each.default is not None:
                filled.append(each.default)
            else:
                return None
        return filled


class Choice:
    """Several patterns, one of which has to match; those that are plain texts cost one look-up together."""

    __slots__ = ("_others", "_texts", "patterns")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._texts = frozenset(each.fixed for each in self.patterns)
        self._others = [each for each in self.patterns if each.fixed is None]

    def matches(self, text: str, facts: Facts) -> bool:
        if text in self._texts:
            return True
        for each in self._others:  # noqa: SIM110 - a generator would take as long as the match
            if each.matches(text, facts):
                return True
        return False


def _folded(token: Token) -> Token:
    return token.casefold() if isinstance(token, str) else token


class Glob:
    """Texts between the stars, each found at its leftmost place: no way to go back, so no way to take long."""

    __slots__ = ("_first", "_last", "_middle", "_whole")

    def __init__(self, tokens: list[Token]) -> None:
        pieces: list[list[Token]] = [[]]
        for each in tokens:
            if each is Wild.ANY_TEXT:
                pieces.append([])
            else:
                pieces[-1].append(each)
        compiled = [_Piece(piece) for piece in pieces]
        self._whole = compiled[0] if len(compiled) == 1 else None
        self._first, self._last = compiled[0], compiled[-1]
        self._middle = [piece for piece in compiled[1:-1] if piece.length]

    @property
    def fixed(self) -> str | None:
        return self._whole.literal if self._whole is not None and self._whole.is_literal else None

    def matches(self, text: str) -> bool:
        if self._whole is not None:
            return self._whole.length == len(text) and self._whole.is_at(text, 0)
        end = len(text) - self._last.length
        at = self._first.length
        if at > end or not self._first.is_at(text, 0) or not self._last.is_at(text, end):
            return False
        for piece in self._middle:
            found = piece.find(text, at, end)
            if found < 0:
                return False
            at = found + piece.length
        return True


class _Piece:
    """Literal text, in which `?` stands for one character."""

    __slots__ = ("_search", "is_literal", "length", "literal")

    def __init__(self, tokens: list[Token]) -> None:
        self.is_literal = Wild.ANY_ONE not in tokens
        self.literal = "".join([each if isinstance(each, str) else "?" for each in tokens])
        self.length = len(self.literal)
        source = "".join([re.escape(each) if isinstance(each, str) else "." for each in tokens])
        self._search = None if self.is_literal else re.compile(source, re.DOTALL)

    def is_at(self, text: str, at: int) -> bool:
        if self._search is None:
            return text.startswith(self.literal, at)
        return self._search.match(text, at) is not None

    def find(self, text: str, at: int, end: int) -> int:
        if self._search is None:
            return text.find(self.literal, at, end)
        match = self._search.search(text, at, end)
        return -1 if match is None else match.start()


def _tokens(text: str, *, wild: bool, variables: bool) -> list[Token]:
    if not variables or "${" not in text:
        return _wild_tokens(text) if wild else [text]
    tokens: list[Token] = []
    at = 0
    for match in _VARIABLE(text):
        plain = text[at : match.start()]
        tokens += _wild_tokens(plain) if wild else [plain]
        tokens.append(_variable(match[1]))
        at = match.end()
    rest = text[at:]
    if "${" in rest:
        raise BadVariable(text)
    return tokens + (_wild_tokens(rest) if wild else [rest])


def _variable(inner: str) -> str | Variable:
    if inner in _LITERALS:
        return inner
    match = _NAME(inner)
    if match is None:
        raise BadVariable(inner)
    return Variable(key_name(match[1]), match[2])


def key_name(text: str) -> str:
    """A condition key as `Facts` is asked for it: names do not depend on case, those of tags do."""
    name, slash, tag = text.partition("/")
    return name.lower() + slash + tag


def _wild_tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for piece in re.split(r"([*?])", text):
        if piece == "*":
            tokens.append(Wild.ANY_TEXT)
        elif piece == "?":
            tokens.append(Wild.ANY_ONE)
        elif piece:
            tokens.append(piece)
    return tokens
