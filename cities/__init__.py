# SPDX-License-Identifier: Apache-2.0
"""City data, one folder a city: `city.json`, road graph, trips, basemap, licence, provenance."""
