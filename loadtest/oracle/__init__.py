# SPDX-License-Identifier: Apache-2.0
"""The oracle: its own fold of the log, written from docs/protocol.md and docs/messages.md alone.

No line of it is shared with the gateway or the dispatcher, so that a bug there is none here.
"""
