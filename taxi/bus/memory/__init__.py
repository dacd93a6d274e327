# SPDX-License-Identifier: Apache-2.0
"""The bus in memory, with a broker that can be made to fail in the ways Kafka fails."""
