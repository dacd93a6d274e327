# SPDX-License-Identifier: Apache-2.0
"""Settings: read once from environment variables into a frozen struct.

The field `cut_interval_ms` is the variable TAXI_CUT_INTERVAL_MS; a field that begins with `kafka_` is the
variable of that name in capitals. An empty variable counts as not set. One environment may contain the
variables of all services and of other programs (`taxi.runtime.environment`). msgspec converts values and
checks types and bounds; `Settings.problems` checks everything else. An error names the variable and says what
to write.

A service of your own declares its settings as fields of a subclass:

    class Settings(taxi.runtime.settings.Settings, frozen=True, kw_only=True):
        surge: float = 1.0          # TAXI_SURGE

    settings = read_or_exit(Settings, "surge")
"""

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from taxi.bus.kafka.config import ConfigError
from taxi.cities import CityPartition, parse
from taxi.roads.city import city_names, wrong_file
from taxi.runtime import checks
from taxi.runtime.environment import OTHERS, Note, UnknownVariableError, pick

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
WRONG_SETTING: Final = 2
"""The exit code of a process with a wrong setting: a restart does not help."""
_SHOWN_CHARS_MAX: Final = 80
T = TypeVar("T", bound="Settings")


class SettingsError(ConfigError):
    """A setting is unknown or wrong. The process exits with code 2; the text says what to do."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of every service."""

    kafka_bootstrap_servers: Annotated[str, Meta(min_length=1)] = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = ""
    kafka_ssl_cafile: str = ""
    kafka_ssl_certfile: str = ""
    kafka_ssl_keyfile: str = ""
    prefix: str = ""
    """Prefix of every topic, group and transactional id, for a cluster shared with others."""
    city: str = "manhattan"
    """The city of a gateway or simulator: a folder in `taxi/cities/`, or one of TAXI_CITIES."""
    cities: str = ""
    """All cities of the log, in the order of their partitions: `manhattan,uptown=manhattan` puts two cities
    on the same streets. Empty: TAXI_CITY alone."""
    cities_dir: str = ""
    """A folder with cities of the user's own, each a folder in it. Empty: none."""
    name: str = ""
    """The name of this process in logs, metrics and for clients. Empty: its kind."""
    admin_host: str = "127.0.0.1"
    admin_port: Port = 0
    """The port of /healthz, /readyz and /metrics. 0: none."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, note: Callable[[Note], object] | None = None) -> Self:
        """Read this service's settings.

        Args:
            environ: The environment variables, perhaps with those of other programs.
            note: Called for each group of variables that is ignored, for the log.

        Raises:
            SettingsError: A value is wrong. The text names the variable and says what to write instead.
        """
        fields = {variable(name): name for name in cls.__struct_fields__}
        try:
            picked = pick(environ, fields.keys(), KNOWN)
        except UnknownVariableError as error:
            raise SettingsError(str(error)) from None
        given = {fields[key]: value for key, value in picked.values.items()}
        for field, value in given.items():
            _check_type(cls, field, value)
        if given.get("cities") and "city" not in given:
            given["city"] = given["cities"].partition(",")[0].partition("=")[0].strip()
        settings = msgspec.convert(given, cls, strict=False)
        for field, why in settings.problems():
            raise _error(field, str(getattr(settings, field)), why)
        if note is not None:
            for each in picked.notes:
                note(each)
        return settings

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield (field, what is wrong) for values that have the right type but can't be used.

        A subclass yields its own after `yield from super().problems()`. Defaults must not yield anything.
        """
        simple: dict[str, Callable[[str], str | None]] = {
            "kafka_bootstrap_servers": checks.servers,
            "kafka_ssl_cafile": checks.file,
            "kafka_ssl_certfile": checks.file,
            "kafka_ssl_keyfile": checks.file,
            "prefix": checks.prefix,
            "name": checks.name,
            "admin_host": checks.host,
        }
        for field, check in simple.items():
            if why := check(getattr(self, field)):
                yield field, why
        if self.kafka_ssl_keyfile and not self.kafka_ssl_certfile:
            yield "kafka_ssl_keyfile", "KAFKA_SSL_CERTFILE is wanted, too: the certificate of this key"
        if self.kafka_security_protocol.startswith("SASL") and not self.kafka_sasl_username:
            yield "kafka_security_protocol", "KAFKA_SASL_USERNAME is wanted, too"
        yield from self._wrong_cities()

    def _wrong_cities(self) -> Iterator[tuple[str, str]]:
        if why := checks.directory(self.cities_dir):
            yield "cities_dir", why
            return
        field = "cities" if self.cities else "city"
        if not self.cities and {",", "="} & set(self.city):
            yield field, "the name of one city is wanted; several belong in TAXI_CITIES"
            return
        try:
            cities = self.served()
        except ValueError as error:
            yield field, str(error)
            return
        if self.city not in {city.name for city in cities}:
            yield "city", f"TAXI_CITIES holds {', '.join(city.name for city in cities)}"
        known = city_names(self._own_cities())
        for city in cities:
            if isinstance(city.folder, Path):
                if why := wrong_file(city.folder):
                    yield "cities_dir", why
            elif city.folder not in known:
                yield field, f"no city {city.folder!r}; there are: {', '.join(known)}"

    def served(self) -> tuple[CityPartition, ...]:
        """All cities of the log, in the order of their partitions. Raises ValueError."""
        return parse(self.cities or self.city, self._own_cities())

    def _own_cities(self) -> Path | None:
        return Path(self.cities_dir) if self.cities_dir else None

    def own(self) -> CityPartition:
        """The city `self.city`, for a process that has one. Raises ValueError if the log has no such city."""
        for city in self.served():
            if city.name == self.city:
                return city
        raise ValueError(f"{self.cities!r} holds no {self.city!r} (TAXI_CITY)")

    def partitions(self) -> int:
        """How many partitions this process needs of each of its topics: up to that of its city."""
        return self.own().partition + 1


def read_or_exit(settings: type[T], program: str, *, note: Callable[[Note], object] | None = None) -> T:
    """Read the settings of a program from its environment.

    If one is wrong, the process writes a line to standard error and exits with code 2.

    Args:
        settings: The type of the settings.
        program: Its name, the beginning of each line.
        note: Called for each group of variables that is ignored. None: they are written to standard error.
    """
    try:
        return settings.from_env(os.environ, note=note or (lambda each: _say(program, each)))
    except SettingsError as error:
        exit_because(program, error)


def exit_because(program: str, error: SettingsError) -> NoReturn:
    """Write the error to standard error and exit with code 2."""
    _say(program, error)
    sys.exit(WRONG_SETTING)


def _say(program: str, what: object) -> None:
    # backslashreplace, because the terminal may support ASCII only, and a value may not be UTF-8.
    encoding = sys.stderr.encoding or "ascii"
    line = f"{program}: {what}\n".encode(encoding, "backslashreplace").decode(encoding)
    sys.stderr.write(line)


def _check_type(settings: type[Settings], field: str, value: str) -> None:
    """Raise SettingsError if this value can't be converted to the field's type or is out of bounds."""
    if why := checks.text(value):
        raise _error(field, value, why)
    kind = _kind(settings, field)
    try:
        converted = msgspec.convert({field: value}, settings, strict=False)
    except (msgspec.ValidationError, OverflowError) as error:
        raise _error(field, value, _wanted(kind) or str(error).split(" - at ")[0]) from None
    number = getattr(converted, field)
    if isinstance(number, float) and not math.isfinite(number):
        raise _error(field, value, _wanted(kind))


def _error(field: str, value: str, why: str) -> SettingsError:
    shown = value if len(value) <= _SHOWN_CHARS_MAX else value[:_SHOWN_CHARS_MAX] + "…"
    shown = "…" if field.endswith(("secret", "password")) else repr(shown)
    return SettingsError(f"{variable(field)}={shown}: {why}.")


def _kind(settings: type[Settings], field: str) -> Any:
    [kind] = (known.type for known in msgspec.structs.fields(settings) if known.name == field)
    return kind


def _wanted(kind: Any) -> str:
    """The permitted values of a field with this type, as a text. Empty if the annotation has no bounds."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))} is wanted"
    plain, *limits = get_args(kind) if get_origin(kind) is Annotated else [kind]
    words = {int: "a whole number", float: "a number", bool: "true or false"}.get(plain)
    if words is None:
        return ""
    low = next((limit.ge for limit in limits if limit.ge is not None), None)
    high = next((limit.le for limit in limits if limit.le is not None), None)
    between = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
    return f"{words}{between} is wanted"


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return field.upper() if field.startswith("kafka_") else f"TAXI_{field.upper()}"


def defaults(settings: type[Settings]) -> dict[str, Any]:
    """Variable → default, in the order of the fields, for a test of the table in the documentation."""
    return {variable(f.name): f.default for f in msgspec.structs.fields(settings)}


KNOWN: frozenset[str] = frozenset(
    {
        # the command line and the local broker
        *("TAXI_CACHE_DIR", "TAXI_DATA_DIR", "TAXI_SKIP_WEB", "TAXI_TOKEN", OTHERS),
        # the simulator
        *("TAXI_DRIVERS", "TAXI_SEED", "TAXI_LOAD", "TAXI_GPS_NOISE", "TAXI_DEMAND_BY_HOUR"),
        *("TAXI_SCENARIOS_DIR", "TAXI_SCENARIOS", "TAXI_SCENARIOS_ASKED_MS"),
        # the verifier
        *("TAXI_GATEWAY_URL", "TAXI_GATEWAYS", "TAXI_CHECK_INTERVAL_MS", "TAXI_CLIENT_TOKEN"),
        # the dispatcher
        *("TAXI_POLICY", "TAXI_BATCH_INTERVAL_MS", "TAXI_OFFER_TIMEOUT_MS", "TAXI_PATIENCE_MS", "TAXI_SPEED"),
        *("TAXI_REFUSE_MS", "TAXI_NO_SHOW_MS", "TAXI_LOST_MS", "TAXI_LOST_ON_TRIP_MS"),
        # the gateway
        *(
            "TAXI_SHOWN_CITIES",
            "TAXI_HOST",
            "TAXI_PORT",
            "TAXI_REUSE_PORT",
            "TAXI_CUT_INTERVAL_MS",
            "TAXI_PARTS_DIR",
        ),
        *("TAXI_ALLOWED_ORIGINS", "TAXI_CLIENTS_MAX", "TAXI_ROW_EXPIRY_MS", "TAXI_RESUME_MS"),
        *("TAXI_DRAIN_PER_S", "TAXI_TRUSTED_PROXIES", "TAXI_TOKEN_SECRET", "TAXI_LIMIT_LOOPBACK"),
        *("TAXI_ADDRESS_CLIENTS_MAX", "TAXI_ADDRESS_RIDES_PER_MINUTE"),
    }
)
"""Variables of one service that may be set for another one, too. A test checks that the list is complete."""
