# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""Finds the transactions that hold back a partition's last stable offset, with three requests of KIP-664.

`DescribeProducers` (to the partition's leader) returns the producers with an open transaction,
`ListTransactions` (to every broker) their transactional ids, and `DescribeTransactions` (to the coordinator)
their start and timeout. aiokafka does not implement these requests.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from taxi.bus import OpenTransaction
from taxi.bus.kafka.link import KafkaLink

_LIMIT_S: Final = 2.0
_TEXT: Final = CompactString("utf-8")
_TAGS: Final = ("tags", TaggedFields)
_ALIVE: Final = frozenset({"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"})
"""Coordinator states after which a marker will be written. In any other state an open transaction hangs."""


class _DescribeProducersResponse(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", _TEXT),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("start_offset", Int64),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _DescribeProducers(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _DescribeProducersResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)), _TAGS
    )


class DescribeProducers(Request[_DescribeProducers]):
    """Request: the producers that write to a partition."""

    API_KEY = 61

    def __init__(self, topic: str, partition: int) -> None:
        self._wanted: list[Any] = [(topic, [partition], {})]

    def build(self, request_struct_class: type[_DescribeProducers]) -> _DescribeProducers:
        return request_struct_class(self._wanted, {})


class _ListTransactionsResponse(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(_TEXT)),
        (
            "transactions",
            CompactArray(("transactional_id", _TEXT), ("producer_id", Int64), ("state", _TEXT), _TAGS),
        ),
        _TAGS,
    )


class _ListTransactions(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = _ListTransactionsResponse
    SCHEMA = Schema(("states", CompactArray(_TEXT)), ("producer_ids", CompactArray(Int64)), _TAGS)


class ListTransactions(Request[_ListTransactions]):
    """Request: the transactions of these producers that a coordinator knows, in any state."""

    API_KEY = 66

    def __init__(self, producer_ids: Iterable[int]) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[_ListTransactions]) -> _ListTransactions:
        return request_struct_class([], self._producer_ids, {})


class _DescribeTransactionsResponse(Response):
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", _TEXT),
                ("state", _TEXT),
                ("timeout_ms", Int32),
                ("start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _DescribeTransactions(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _DescribeTransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(_TEXT)), _TAGS)


class DescribeTransactions(Request[_DescribeTransactions]):
    """Request: the state, start and timeout of these transactions."""

    API_KEY = 65

    def __init__(self, transactional_ids: Iterable[str]) -> None:
        self._ids = list(transactional_ids)

    def build(self, request_struct_class: type[_DescribeTransactions]) -> _DescribeTransactions:
        return request_struct_class(self._ids, {})


async def open_transactions(link: KafkaLink, topic: str, partition: int) -> tuple[OpenTransaction, ...]:
    """Implements `Bus.open_transactions`; `topic` has its prefix."""
    found: dict[int, OpenTransaction] = {}
    with suppress(KafkaError, OSError, NotImplementedError, ValueError):  # TimeoutError is an OSError
        async with asyncio.timeout(_LIMIT_S):
            answer = await link.ask_leader(topic, partition, DescribeProducers(topic, partition))
            found = {each.producer_id: each for each in _open_ones(answer)}
            for node in link.nodes() if found else ():
                await _ask_coordinator(link, node, found)
    return tuple(sorted(found.values(), key=lambda each: each.start))


def _open_ones(answer: Any) -> Iterable[OpenTransaction]:
    for _, partitions, _ in answer.topics:
        for _, code, _, producers, _ in partitions:
            for producer_id, epoch, _, last_ms, _, start, _ in producers if not code else ():
                if start >= 0:
                    yield OpenTransaction(
                        start, producer_id, epoch, began_ms=last_ms if last_ms > 0 else None
                    )


async def _ask_coordinator(link: KafkaLink, node: int, found: dict[int, OpenTransaction]) -> None:
    """Update `found` with what this broker knows, if it is the coordinator of one of the transactions."""
    answer = await link.ask_node(node, ListTransactions(found))
    states = {name: (producer_id, state) for name, producer_id, state, _ in answer.transactions or ()}
    for name, (producer_id, state) in states.items():
        known = found[producer_id]
        found[producer_id] = replace(known, transactional_id=name, is_hanging=state not in _ALIVE)
    if not states:
        return
    answer = await link.ask_node(node, DescribeTransactions(states))
    for code, _, state, timeout_ms, began_ms, producer_id, _, _, _ in answer.transactions:
        if not code and state in _ALIVE and producer_id in found:
            known = found[producer_id]
            found[producer_id] = replace(known, began_ms=began_ms, timeout_ms=timeout_ms)
