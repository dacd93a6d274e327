# SPDX-License-Identifier: Apache-2.0
"""The audit: checks the raw topics against rules, with code that shares nothing with the dispatcher.

It is written from docs/messages.md alone and parses plain JSON, so that it does not repeat a mistake of the
dispatcher's fold. An import check enforces this.
"""
