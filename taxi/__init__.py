# SPDX-License-Identifier: Apache-2.0
"""The shared language of the city: messages, topics, states, the bus. Imports no service."""

__version__ = "0.1.0"
