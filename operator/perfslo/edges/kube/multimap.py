"""Several members under one key, without keeping empty keys."""

from __future__ import annotations

from collections.abc import Hashable, Set
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class MultiMap(Generic[K, V]):
    def __init__(self) -> None:
        self._members: dict[K, set[V]] = {}

    def add(self, key: K, member: V) -> None:
        self._members.setdefault(key, set()).add(member)

    def remove(self, key: K, member: V) -> None:
        members = self._members.get(key, set())
        members.discard(member)
        if not members:
            self._members.pop(key, None)

    def __getitem__(self, key: K) -> Set[V]:
        return self._members.get(key, set())
