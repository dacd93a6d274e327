# SPDX-License-Identifier: Apache-2.0
"""The street network of a city: routes, driving times, zones and places."""
