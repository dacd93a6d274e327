# SPDX-License-Identifier: Apache-2.0
"""The verifier: checks beside a running city that what each gateway sends is what the log says.

It belongs to nothing that it checks. It is an ordinary client of every gateway, reads the raw topics, and
folds them with the oracle (`taxistream.tools.oracle`), which shares no code with gateway or dispatcher. Once
a second it writes its verdict on every gateway to `taxi.verdicts`; gateways pass it on to their clients.
"""
