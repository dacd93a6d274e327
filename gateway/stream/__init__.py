# SPDX-License-Identifier: Apache-2.0
"""The stream: sends the updates of one source to many clients (docs/protocol.md).

It has admission, sessions, publishing and the WebSocket transport; tokens and rate limits are in
`gateway.access`, which HTTP shares. It does not depend on what the rows are: the source of updates is a
`DeltaSource`.
"""
