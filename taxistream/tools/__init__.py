# SPDX-License-Identifier: Apache-2.0
"""Programs that check, repeat, load and compare a city. No service imports them."""
