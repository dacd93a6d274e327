# SPDX-License-Identifier: Apache-2.0
"""The message of a position, written from docs/messages.md for checks that share no code with services."""

from typing import Annotated, Final

import msgspec


class DocumentedFix(msgspec.Struct, tag_field="type", tag="Fix", gc=False):
    """A position, as docs/messages.md describes it."""

    driver: Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
    at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    lng: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    heading: Annotated[int, msgspec.Meta(ge=0, le=360)] = 0
    speed: Annotated[float, msgspec.Meta(ge=0)] = 0.0


decode_fix: Final = msgspec.json.Decoder(DocumentedFix).decode
"""Raises msgspec.DecodeError for what is no position."""
