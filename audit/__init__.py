# SPDX-License-Identifier: Apache-2.0
"""Reads the raw topics and holds them to rules of its own: nothing here is shared with who decides.

Written from docs/messages.md alone, on plain JSON, so that a mistake in the dispatcher's fold is not
repeated here. An import check keeps it that way.
"""
