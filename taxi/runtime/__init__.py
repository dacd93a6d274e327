# SPDX-License-Identifier: Apache-2.0
"""The infrastructure of every service: settings, environment, HTTP server, logging, metrics, admin port."""
