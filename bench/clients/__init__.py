# SPDX-License-Identifier: Apache-2.0
"""What the benches of the gateway run beside it: who writes, who receives, and the hub alone."""
