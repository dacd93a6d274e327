# SPDX-License-Identifier: Apache-2.0
"""The bus on Apache Kafka. Only this package and `taxistream.local` import aiokafka."""
