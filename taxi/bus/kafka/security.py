# SPDX-License-Identifier: Apache-2.0
"""TLS and SASL: converts the settings to aiokafka's arguments."""

import ssl
from typing import Any

from taxi.bus.kafka.config import ConfigError, KafkaConfig


def security(config: KafkaConfig) -> dict[str, Any]:
    """Keyword arguments of aiokafka's clients for TLS and SASL.

    Raises:
        ConfigError: A certificate file can't be used.
    """
    options: dict[str, Any] = {"security_protocol": config.kafka_security_protocol}
    if config.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls(config)
    if config.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": config.kafka_sasl_mechanism,
            "sasl_plain_username": config.kafka_sasl_username,
            "sasl_plain_password": config.kafka_sasl_password,
        }
    return options


def _tls(config: KafkaConfig) -> ssl.SSLContext:
    cafile, certfile, keyfile = (
        config.kafka_ssl_cafile,
        config.kafka_ssl_certfile,
        config.kafka_ssl_keyfile,
    )
    try:
        context = ssl.create_default_context(cafile=cafile or None)
    except OSError as error:
        raise ConfigError(
            f"KAFKA_SSL_CAFILE={cafile!r}: certificates in PEM format are wanted ({error})."
        ) from None
    try:
        if certfile:
            # Without a password of its own OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certfile, keyfile or None, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"KAFKA_SSL_CERTFILE={certfile!r}: a certificate in PEM format is wanted, and its key without a"
            f" password, in the same file or in KAFKA_SSL_KEYFILE ({error})."
        ) from None
    return context


def _no_password() -> str:
    message = "the key is encrypted"
    raise ValueError(message)
