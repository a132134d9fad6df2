"""PrefixCache: what was cached of token sequences, for contexts that begin like them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vlmforge.decode.context import Context
from vlmforge.decode.inputs import Inputs, common_length
from vlmforge.decode.lock import Lock
from vlmforge.errors import RunError
from vlmforge.machine.machine import Machine

NO_KEYS = np.empty(0, np.int64)


class PrefixCache:
    """A radix tree of token sequences (RadixAttention, arXiv 2312.07104).

    Sequences are told apart by their keys, so an image counts as its pixels, not as its
    placeholder. Beginnings that sequences share are held once. May be used from several threads.

    Args:
        machine: of the contexts served.
        capacity: most tokens held; what was used longest ago is forgotten first.

    Raises:
        RunError: the capacity is negative.
    """

    def __init__(self, machine: Machine, capacity: int) -> None:
        if capacity < 0:
            raise RunError(f"a prefix cache of {capacity} tokens", mend="choose 0 or more")
        self.machine, self.capacity = machine, capacity
        self._root = _Node(NO_KEYS, np.empty((0, 0), np.int8), None)
        self._clock = self._length = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Tokens held."""
        return self._length

    def known(self, keys: np.ndarray) -> int:
        """How many of the first ``keys``, int64 ``[n]``, are held."""
        with self._lock:
            return sum(count for _, count in self._walk(keys))

    def restore(self, context: Context, inputs: Inputs, most: int) -> int:
        """Copy what is held of ``inputs`` into a context.

        Args:
            context: holds a beginning of ``inputs``, perhaps nothing.
            inputs: the tokens wanted.
            most: most tokens the context shall hold.

        Returns:
            How many tokens the context holds now; it never parts an image.
        """
        self._require_own(context)
        with self._lock:
            path = list(self._walk(inputs.keys[:most]))
            self._touch(node for node, _ in path)
        held, known = context.length, sum(count for _, count in path)
        stop = inputs.whole(known)
        if stop > held:
            rows = np.concatenate([node.rows[:count] for node, count in path])[held:stop]
            context.adopt(inputs.slice(held, stop), rows)
        return context.length

    def remember(self, context: Context) -> None:
        """Hold what a context holds, as far as the capacity goes."""
        self._require_own(context)
        keys = context.keys[: self.capacity].copy()
        with self._lock:
            path = list(self._walk(keys))
            known = sum(count for _, count in path)
            end = self._split(*path[-1]) if path else self._root
            if known < keys.size:
                end = end.grow(keys[known:], context.rows(known, keys.size))
                self._length += end.keys.size
            self._touch(end.path())
            while self._length > self.capacity:
                self._forget_oldest()

    def _walk(self, keys: np.ndarray) -> Iterator[tuple[_Node, int]]:
        """The nodes that ``keys`` run through, and how many keys of each they share."""
        node, at = self._root, 0
        while at < keys.size and (child := node.children.get(int(keys[at]))) is not None:
            count = common_length(child.keys, keys[at:])
            yield child, count
            if count < child.keys.size:
                return
            node, at = child, at + count

    def _split(self, node: _Node, count: int) -> _Node:
        """A node that ends after the first ``count`` keys of ``node``."""
        return node if count == node.keys.size else node.split(count)

    def _touch(self, nodes: Iterator[_Node]) -> None:
        self._clock += 1
        for node in nodes:
            node.used = self._clock

    def _forget_oldest(self) -> None:
        oldest = min(self._root.leaves(), key=lambda leaf: leaf.used)
        assert oldest.parent is not None, "the root holds no tokens"
        del oldest.parent.children[int(oldest.keys[0])]
        self._length -= oldest.keys.size

    def _require_own(self, context: Context) -> None:
        if context.machine is not self.machine:
            raise RunError(
                "the prefix cache belongs to another session",
                mend="use one prefix cache for each opened package",
            )


class _Node:
    """A run of keys that follows its parent's, with the cached rows; only its parent changes."""

    def __init__(self, keys: np.ndarray, rows: np.ndarray, parent: _Node | None) -> None:
        self.keys, self.rows, self.parent = keys, rows, parent
        self.children: dict[int, _Node] = {}
        self.used = 0

    def grow(self, keys: np.ndarray, rows: np.ndarray) -> _Node:
        """A new child."""
        child = _Node(keys, rows, self)
        self.children[int(keys[0])] = child
        return child

    def split(self, count: int) -> _Node:
        """A new node between this and its parent, which takes over the first ``count`` keys.

        Copies are made, so that forgetting one of the two frees its memory.
        """
        assert self.parent is not None, "the root has no keys to split"
        front = self.parent.grow(self.keys[:count].copy(), self.rows[:count].copy())
        front.used = self.used
        back = front.grow(self.keys[count:].copy(), self.rows[count:].copy())
        back.used, back.children = self.used, self.children
        for child in back.children.values():
            child.parent = back
        return front

    def path(self) -> Iterator[_Node]:
        """This node and those above it."""
        node: _Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def leaves(self) -> Iterator[_Node]:
        """The nodes below that have no children, or this one if it has none."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            if not node.children:
                yield node
