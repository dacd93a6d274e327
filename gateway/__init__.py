# SPDX-License-Identifier: Apache-2.0
"""The gateway: sends the state of a city to browsers over WebSockets, and accepts ride requests over HTTP."""
