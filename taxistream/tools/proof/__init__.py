# SPDX-License-Identifier: Apache-2.0
"""The proof: kills each kind of part of a running demo under clients that check every update."""
