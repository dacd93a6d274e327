# SPDX-License-Identifier: Apache-2.0
"""A limit on how deep JSON may be nested.

Decoders are recursive. Without this limit, the depth at which a text is refused would depend on the Python
version and the caller's stack, and the refusal would be a `RecursionError`.
"""

import re
from typing import Final

DEPTH_MAX: Final = 64
"""Deeper than any message of the protocol, with room for fields that a later version adds."""
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")


def is_too_deep(text: str) -> bool:
    """Whether arrays and objects in a JSON text are nested deeper than `DEPTH_MAX`.

    Brackets within strings do not count. The time is linear in the length of the text; a text with few
    brackets is only counted.
    """
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_MAX:
            return True
    return False
