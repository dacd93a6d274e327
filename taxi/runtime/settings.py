# SPDX-License-Identifier: Apache-2.0
"""Settings come from environment variables, once, into a frozen struct. A bad key names itself.

A field `cut_interval_ms` is the variable TAXI_CUT_INTERVAL_MS; a field that starts with `kafka_` is
that name in capitals. One environment may serve all services, so a key is unknown only when no service
knows it. msgspec converts and checks: bounds stand in the annotations.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from taxi.cities import City, parse

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class SettingsError(ValueError):
    """A setting is unknown or bad. The process ends with exit code 2; the text says what to do."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service needs."""

    kafka_bootstrap_servers: Annotated[str, Meta(min_length=1)] = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = ""
    kafka_ssl_cafile: str = ""
    kafka_ssl_certfile: str = ""
    kafka_ssl_keyfile: str = ""
    prefix: str = ""
    """Before every topic, group and transactional id, for a cluster shared with others."""
    city: str = "manhattan"
    """Which city a gateway shows or a simulator fills: a folder in `cities/`, or one of TAXI_CITIES."""
    cities: str = ""
    """All cities of the log, in the order of their partitions: `manhattan,uptown=manhattan` puts two cities
    on the same streets. Empty: TAXI_CITY alone."""
    name: str = ""
    """What this process is called in logs, metrics and to clients. Empty: its kind."""
    admin_host: str = "127.0.0.1"
    admin_port: Port = 0
    """/healthz, /readyz and /metrics. 0: none."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, also: Iterable[str] = ()) -> Self:
        """Read this service's fields. `also`: variables of other services that may stand beside them.

        Raises SettingsError, naming the variable.
        """
        fields = {variable(name): name for name in cls.__struct_fields__}
        known = {*fields, *also}
        for key in sorted(environ):
            if key.startswith("TAXI_") and key not in known:
                near = difflib.get_close_matches(key, sorted(known), 1)
                hint = f" Did you mean {near[0]}?" if near else " `taxi --help` lists the settings."
                raise SettingsError(f"{key}: unknown setting.{hint}")
        given = {field: environ[key] for key, field in fields.items() if key in environ}
        if given.get("cities") and "city" not in given:
            given["city"] = given["cities"].partition(",")[0].partition("=")[0].strip()
        for field, value in given.items():
            try:
                msgspec.convert({field: value}, cls, strict=False)
            except msgspec.ValidationError as error:
                why = _choices(cls, field) or str(error).split(" - at ")[0]
                shown = "…" if field.endswith(("secret", "password")) else repr(value)
                raise SettingsError(f"{variable(field)}={shown}: {why}.") from None
        settings = msgspec.convert(given, cls, strict=False)
        try:
            settings.own()
        except ValueError as error:
            raise SettingsError(f"TAXI_CITIES: {error}.") from None
        return settings

    def served(self) -> tuple[City, ...]:
        """All cities of the log."""
        return parse(self.cities or self.city)

    def own(self) -> City:
        """The city of a process that has one. Raises ValueError where the log holds no such city."""
        for city in self.served():
            if city.name == self.city:
                return city
        raise ValueError(f"{self.cities!r} holds no {self.city!r} (TAXI_CITY)")


def _choices(settings: type[Settings], field: str) -> str:
    """What a field may be, where that can be listed; else nothing."""
    [kind] = (known.type for known in msgspec.structs.fields(settings) if known.name == field)
    return f"one of {', '.join(get_args(kind))} is wanted" if get_origin(kind) is Literal else ""


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return field.upper() if field.startswith("kafka_") else f"TAXI_{field.upper()}"


def defaults(settings: type[Settings]) -> dict[str, Any]:
    """Variable → default, in the order of the fields: what the documentation's table is held against."""
    return {variable(f.name): f.default for f in msgspec.structs.fields(settings)}


KNOWN: frozenset[str] = frozenset(
    {
        # the command line and the local broker
        *("TAXI_CACHE_DIR", "TAXI_DATA_DIR", "TAXI_SKIP_WEB"),
        # the simulator
        *("TAXI_DRIVERS", "TAXI_SEED", "TAXI_LOAD"),
        # the dispatcher
        *("TAXI_POLICY", "TAXI_BATCH_INTERVAL_MS", "TAXI_OFFER_TIMEOUT_MS", "TAXI_PATIENCE_MS"),
        *("TAXI_REFUSE_MS", "TAXI_NO_SHOW_MS", "TAXI_LOST_MS", "TAXI_LOST_ON_TRIP_MS"),
        # the gateway
        *("TAXI_HOST", "TAXI_PORT", "TAXI_REUSE_PORT", "TAXI_CUT_INTERVAL_MS", "TAXI_PARTS_DIR"),
        *("TAXI_ALLOWED_ORIGINS", "TAXI_CLIENTS_MAX", "TAXI_ROW_EXPIRY_MS", "TAXI_RESUME_MS"),
        *("TAXI_DRAIN_PER_S", "TAXI_TRUSTED_PROXIES", "TAXI_TOKEN_SECRET", "TAXI_LIMIT_LOOPBACK"),
        *("TAXI_ADDRESS_CLIENTS_MAX", "TAXI_ADDRESS_RIDES_PER_MINUTE"),
    }
)
"""Variables of one service that may stand in the environment of another. A test holds this complete."""
