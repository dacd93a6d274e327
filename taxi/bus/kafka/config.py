# SPDX-License-Identifier: Apache-2.0
"""What the bus has to know to reach a cluster."""

from typing import Protocol


class ConfigError(ValueError):
    """A value of the configuration can't be used. The text names the environment variable and the remedy."""


class KafkaConfig(Protocol):
    """The address of a cluster and how to authenticate. `taxi.runtime.settings.Settings` is one."""

    @property
    def kafka_bootstrap_servers(self) -> str:
        """Addresses of brokers, separated by commas."""

    @property
    def kafka_security_protocol(self) -> str:
        """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""

    @property
    def kafka_sasl_mechanism(self) -> str:
        """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""

    @property
    def kafka_sasl_username(self) -> str: ...

    @property
    def kafka_sasl_password(self) -> str: ...

    @property
    def kafka_ssl_cafile(self) -> str:
        """Certificates of authorities in PEM format. Empty: those of the system."""

    @property
    def kafka_ssl_certfile(self) -> str:
        """The client's certificate in PEM format, perhaps with its key. Empty: none."""

    @property
    def kafka_ssl_keyfile(self) -> str:
        """The key of the certificate. Empty: it is in the same file."""

    @property
    def prefix(self) -> str:
        """Before every topic, group and transactional id."""
