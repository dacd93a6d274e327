# SPDX-License-Identifier: Apache-2.0
"""The oracle: an independent fold of the log, written from docs/protocol.md and docs/messages.md alone.

It says which rows a client must hold at any cursor. The load test compares the messages of a running gateway
with it (`taxistream.tools.loadtest`), the simulation what its clients hold (`testing.simulation`). It shares
no code with the gateway or the dispatcher, so that it does not repeat their bugs. It is stricter than a
client has to be: a log that breaks a rule of the dispatcher raises `BrokenLogError`.

1. `runs` separates records by producer and yields the batches of the city.
2. `facts` applies the events of a batch to rides and drivers, and checks each of them.
3. `events` remembers the city after each batch, and the events for the feed.
4. `positions` puts positions into log time and remembers each driver's newest one.
5. `city` joins both: the rows at a cursor, with their hash and tiles.
"""
