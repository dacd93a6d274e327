# SPDX-License-Identifier: Apache-2.0
"""A bad setting names itself and says what is wanted; variables of other programs end nothing."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer.core
import typer.main
from msgspec import Meta

from dispatcher.settings import Settings as DispatcherSettings
from gateway.settings import Settings as GatewaySettings
from simulator.settings import Settings as SimulatorSettings
from taxi.bus.kafka.config import ConfigError
from taxi.bus.kafka.security import security
from taxi.cities import CityPartition
from taxi.roads.city import city_dir, load_city
from taxi.runtime.environment import Note, edits, is_service_link
from taxi.runtime.settings import KNOWN, Settings, SettingsError, defaults, read_or_exit, variable
from taxistream.cli import app

SERVICES = (DispatcherSettings, GatewaySettings, SimulatorSettings)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_converted_to_the_type_of_their_field() -> None:
    settings = Settings.from_env({"TAXI_ADMIN_PORT": "9101", "KAFKA_BOOTSTRAP_SERVERS": "broker:9092"})
    assert (settings.admin_port, settings.kafka_bootstrap_servers) == (9101, "broker:9092")


@pytest.mark.parametrize("service", SERVICES)
def test_a_variable_that_is_set_but_empty_means_the_default(service: type[Settings]) -> None:
    assert service.from_env(dict.fromkeys([*defaults(service), "TAXI_HOST"], "")) == service()


def test_defaults_are_listed_by_variable() -> None:
    assert defaults(Settings)["TAXI_CITY"] == "manhattan"
    assert variable("kafka_ssl_cafile") == "KAFKA_SSL_CAFILE"


# --- bad values -----------------------------------------------------------------------------------------

BAD = [
    (Settings, "TAXI_ADMIN_PORT", "70000", "a whole number from 0 to 65535 is wanted"),
    (Settings, "TAXI_ADMIN_PORT", "http", "a whole number from 0 to 65535 is wanted"),
    (Settings, "TAXI_ADMIN_PORT", "9" * 5000, "a whole number"),
    (Settings, "TAXI_ADMIN_HOST", "*", "0.0.0.0"),
    (Settings, "TAXI_ADMIN_HOST", "127.0.0.1:9000", "without a port"),
    (Settings, "TAXI_ADMIN_HOST", "0", "an IP address"),
    (Settings, "TAXI_ADMIN_HOST", "999.1.1.1", "an IP address"),
    (Settings, "TAXI_ADMIN_HOST", "a..b", "an IP address"),
    (Settings, "TAXI_LOG_FORMAT", "xml", "one of text, json is wanted"),
    (Settings, "TAXI_NAME", "x" * 101, "at most 100"),
    (Settings, "TAXI_NAME", "one\ntwo", "line break"),
    (Settings, "TAXI_NAME", "\udcff", "not UTF-8"),
    (Settings, "TAXI_PREFIX", "berlin/", "A-Z"),
    (Settings, "TAXI_CITY", "atlantis", "there are: helsinki, manhattan"),
    (Settings, "TAXI_CITY", "../../etc", "A-Z"),
    (Settings, "TAXI_CITIES_DIR", "/no/such/folder", "it can't be read"),
    (Settings, "TAXI_CITIES_DIR", "/etc/passwd", "it is no directory"),
    (Settings, "TAXI_CITY", "manhattan,uptown=manhattan", "TAXI_CITIES"),
    (Settings, "KAFKA_SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT"),
    (Settings, "KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "KAFKA_SASL_USERNAME"),
    (Settings, "KAFKA_BOOTSTRAP_SERVERS", "a:b:c", "host:port"),
    (Settings, "KAFKA_BOOTSTRAP_SERVERS", "broker:0", "host:port"),
    (Settings, "KAFKA_BOOTSTRAP_SERVERS", "broker:9092,", "host:port"),
    (Settings, "KAFKA_BOOTSTRAP_SERVERS", "::1:9092", "host:port"),
    (Settings, "KAFKA_BOOTSTRAP_SERVERS", "kafka://broker:9092", "host:port"),
    (Settings, "KAFKA_SSL_CAFILE", "/no/such/ca.pem", "No such file"),
    (Settings, "KAFKA_SSL_CAFILE", "/", "a directory"),
    (Settings, "KAFKA_SSL_CERTFILE", "x" * 300, "name too long"),
    (Settings, "KAFKA_SSL_KEYFILE", __file__, "KAFKA_SSL_CERTFILE"),
    (DispatcherSettings, "TAXI_POLICY", "nope", "one of batched, greedy, fifo is wanted"),
    (DispatcherSettings, "TAXI_PATIENCE_MS", "99999999999", "a whole number from 1 to"),
    (SimulatorSettings, "TAXI_LOAD", "nan", "a number from 0 to 10 is wanted"),
    (SimulatorSettings, "TAXI_DRIVERS", "1.5", "a whole number from 1 to 100000 is wanted"),
    (GatewaySettings, "TAXI_HOST", "http://127.0.0.1", "an IP address"),
    (GatewaySettings, "TAXI_REUSE_PORT", "maybe", "true or false is wanted"),
    (GatewaySettings, "TAXI_ADMIN_PORT", "8000", "TAXI_PORT"),
    (GatewaySettings, "TAXI_TRUSTED_PROXIES", "zzz", "'zzz' is none"),
    (GatewaySettings, "TAXI_TRUSTED_PROXIES", "10.0.0.1/8", "host bits"),
    (GatewaySettings, "TAXI_TRUSTED_PROXIES", "*", "0.0.0.0/0"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "taxi.example, *", "https://taxi.example"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "*", "no wildcards"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "https://*.taxi.example", "no wildcards"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "https://taxi.example/page", "no path"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "wss://taxi.example", "https://"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "https://taxi.example:99999", "port"),
    (GatewaySettings, "TAXI_ALLOWED_ORIGINS", "https://[", "IPv6"),
    (GatewaySettings, "TAXI_PARTS_DIR", "/no/such/folder", "No such file"),
    (GatewaySettings, "TAXI_PARTS_DIR", __file__, "no directory"),
    (GatewaySettings, "TAXI_PARTS_DIR", "x" * 300, "name too long"),
]


@pytest.mark.parametrize(("service", "name", "value", "wanted"), BAD)
def test_a_bad_value_is_named_with_what_is_wanted(
    service: type[Settings], name: str, value: str, wanted: str
) -> None:
    with pytest.raises(SettingsError) as error:
        service.from_env({name: value})
    assert str(error.value).startswith(f"{name}=")
    assert wanted in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"TAXI_CITIES": "manhattan,,uptown=manhattan"}, "TAXI_CITIES"),
        ({"TAXI_CITIES": "manhattan,manhattan=manhattan"}, "TAXI_CITIES"),
        ({"TAXI_CITIES": "manhattan,atlantis"}, "TAXI_CITIES"),
        ({"TAXI_CITIES": "manhattan,a b=manhattan"}, "TAXI_CITIES"),
        ({"TAXI_CITIES": "manhattan,uptown=manhattan", "TAXI_CITY": "rome"}, "TAXI_CITY"),
        ({"TAXI_CITIES": "", "TAXI_CITY": "rome"}, "TAXI_CITY"),
    ],
)
def test_what_is_wrong_with_cities_names_the_variable_that_was_set(
    environ: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{named}="):
        Settings.from_env(environ)


@pytest.mark.parametrize("secret", ["hunter2", " " * 40, "x" * 40 + ",hunter2", "x" * 40 + ","])
def test_a_secret_that_is_too_short_is_named_but_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"TAXI_TOKEN_SECRET=…: .*32 bytes") as error:
        GatewaySettings.from_env({"TAXI_TOKEN_SECRET": secret})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("name", ["KAFKA_SSL_CAFILE", "KAFKA_SSL_CERTFILE"])
def test_a_file_that_holds_no_certificate_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nonsense")
    settings = Settings.from_env({"KAFKA_SECURITY_PROTOCOL": "SSL", name: str(tmp_path / "file")})
    with pytest.raises(ConfigError, match=f"{name}=.*PEM"):
        security(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "broker-1:9092, broker_2:9093"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker"),
        ("KAFKA_BOOTSTRAP_SERVERS", "[::1]:9092,[fd00::2]"),
        ("TAXI_ADMIN_HOST", "::"),
        ("TAXI_ADMIN_HOST", "localhost"),
        ("TAXI_HOST", "0.0.0.0"),
        ("TAXI_TRUSTED_PROXIES", "10.0.0.7, 10.1.0.0/16,fd00::/8,0.0.0.0/0"),
        ("TAXI_ALLOWED_ORIGINS", "https://taxi.example/, http://localhost:3000,capacitor://localhost"),
        ("TAXI_TOKEN_SECRET", f"{'x' * 32}, {'ü' * 16}"),
        ("TAXI_PORT", "0"),
    ],
)
def test_what_can_be_meant_is_taken(name: str, value: str) -> None:
    assert GatewaySettings.from_env({name: value}) != GatewaySettings()


# --- variables of others --------------------------------------------------------------------------------

SERVICE_LINKS = {
    "TAXI_GATEWAY_SERVICE_HOST": "10.0.0.1",
    "TAXI_GATEWAY_SERVICE_PORT": "8000",
    "TAXI_GATEWAY_SERVICE_PORT_HTTP": "8000",
    "TAXI_GATEWAY_PORT": "tcp://10.0.0.1:8000",
    "TAXI_GATEWAY_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "TAXI_GATEWAY_PORT_8000_TCP_PROTO": "tcp",
    "TAXI_GATEWAY_PORT_8000_TCP_PORT": "8000",
    "TAXI_GATEWAY_PORT_8000_TCP_ADDR": "10.0.0.1",
}
"""As Kubernetes sets them for a Service called `taxi-gateway`."""
OF_TAXI = {key.replace("TAXI_GATEWAY", "TAXI"): value for key, value in SERVICE_LINKS.items()}
OF_ADMIN = {key.replace("TAXI_GATEWAY", "TAXI_ADMIN"): value for key, value in SERVICE_LINKS.items()}
OF_IPV6 = {key: value.replace("10.0.0.1", "[fd00::1]") for key, value in OF_TAXI.items()}
OF_UDP = {key.replace("_TCP", "_UDP"): value.replace("tcp", "udp") for key, value in SERVICE_LINKS.items()}
"""Of Services called `taxi`, `taxi-admin`, and of other protocols."""


@pytest.mark.parametrize("links", [SERVICE_LINKS, OF_TAXI, OF_ADMIN, OF_IPV6, OF_UDP])
@pytest.mark.parametrize("service", SERVICES)
def test_service_links_of_kubernetes_are_ignored_in_one_note(
    service: type[Settings], links: dict[str, str]
) -> None:
    notes: list[Note] = []
    assert service.from_env(links, note=notes.append) == service()
    [note] = notes
    assert set(note.variables.split(", ")) == set(links)
    assert "enableServiceLinks" in note.why


def test_a_setting_that_a_service_link_hides_is_named() -> None:
    notes: list[Note] = []
    assert GatewaySettings.from_env(OF_TAXI, note=notes.append).port == 8000
    assert "the default of TAXI_PORT is used" in notes[0].why


def test_a_setting_that_only_looks_like_a_service_link_is_a_setting() -> None:
    class Mine(Settings, frozen=True, kw_only=True):
        service_port: int = 1

    assert Mine.from_env({"TAXI_SERVICE_PORT": "7"}).service_port == 7
    assert not is_service_link("TAXI_PORT", "8000")
    assert not is_service_link("OTHER_SERVICE_HOST", "10.0.0.1")


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("TAXI_ADMIN_PRT", "TAXI_ADMIN_PORT"),
        ("TAXI_DRIVRES", "TAXI_DRIVERS"),
        ("TAXI_HOTS", "TAXI_HOST"),
        ("TAXI_ADMINPORT", "TAXI_ADMIN_PORT"),
        ("TAXI_port", "TAXI_PORT"),
        ("TAXI_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
        ("TAXI_PREFIXES", "TAXI_PREFIX"),
    ],
)
def test_a_misspelt_setting_is_named_and_the_nearest_suggested(misspelt: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"^{misspelt}: .*{meant}"):
        Settings.from_env({misspelt: "1"})


def test_a_setting_of_somebody_elses_service_is_ignored_with_a_note() -> None:
    notes: list[Note] = []
    environ = {"TAXI_SURGE": "1", "TAXI_FARE_FACTOR": "2"}
    assert Settings.from_env(environ, note=notes.append) == Settings()
    assert [note.variables for note in notes] == ["TAXI_FARE_FACTOR, TAXI_SURGE"]


def test_a_setting_that_resembles_one_of_ours_can_be_declared() -> None:
    notes: list[Note] = []
    environ = {"TAXI_LOADS": "1", "TAXI_OTHER_SETTINGS": "TAXI_LOADS, TAXI_SURGE"}
    assert Settings.from_env(environ, note=notes.append) == Settings()
    assert notes == []


def test_a_service_of_ones_own_declares_its_settings_as_fields() -> None:
    class Mine(Settings, frozen=True, kw_only=True):
        surge: Annotated[float, Meta(ge=1)] = 1.0

    assert Mine.from_env({"TAXI_SURGE": "1.5", "TAXI_DRIVERS": "9"}).surge == 1.5
    with pytest.raises(SettingsError, match=r"^TAXI_SURGE='0': a number from 1 is wanted"):
        Mine.from_env({"TAXI_SURGE": "0"})


@pytest.mark.parametrize(("variables", "code"), [({"TAXI_SURGE": "1"}, 0), ({"TAXI_PREFIX": "/"}, 2)])
def test_a_service_of_ones_own_ends_with_a_line_and_no_traceback(
    variables: dict[str, str], code: int
) -> None:
    program = "from taxi.runtime.settings import Settings, read_or_exit; read_or_exit(Settings, 'mine')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    assert line.startswith(f"mine: {next(iter(variables))}")


def test_a_line_about_a_value_that_no_terminal_can_show_is_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXI_LOG_LEVEL", "\udcff")
    with pytest.raises(SystemExit) as ended:
        read_or_exit(Settings, "mine")
    assert ended.value.code == 2
    assert "TAXI_LOG_LEVEL" in capsys.readouterr().err


def test_a_setting_of_another_service_of_ours_is_no_error() -> None:
    notes: list[Note] = []
    environ = dict.fromkeys(KNOWN, "5") | {"TAXI_OTHER_SETTINGS": ""}
    assert Settings.from_env(environ, note=notes.append) == Settings()
    assert notes == []


def test_every_variable_that_a_command_takes_is_known() -> None:
    commands = typer.main.get_command(app)
    assert isinstance(commands, typer.core.TyperGroup)
    taken = {
        str(parameter.envvar)
        for command in commands.commands.values()
        for parameter in command.params
        if getattr(parameter, "envvar", None)
    }
    assert len(taken) > 4
    assert taken <= KNOWN | defaults(Settings).keys()


def test_variables_of_other_programs_are_left_alone() -> None:
    notes: list[Note] = []
    environ = {"KAFKA_HEAP_OPTS": "-Xmx1g", "PATH": "/bin", "KAFKA_PORT": "tcp://10.0.0.1:9092"}
    assert Settings.from_env(environ, note=notes.append) == Settings()
    assert notes == []


def test_a_kafka_variable_that_looks_misspelt_is_noted() -> None:
    notes: list[Note] = []
    Settings.from_env({"KAFKA_BOOTSTRAP_SERVER": "broker:9092"}, note=notes.append)
    [note] = notes
    assert note.variables == "KAFKA_BOOTSTRAP_SERVER"
    assert "KAFKA_BOOTSTRAP_SERVERS" in note.why


@pytest.mark.parametrize(
    ("one", "two", "apart"),
    [("", "", 0), ("HOST", "HOTS", 1), ("A", "", 1), ("ABC", "ADC", 1), ("AB", "CD", 2)],
)
def test_edits_are_counted(one: str, two: str, apart: int) -> None:
    assert edits(one, two) == edits(two, one) == apart


# --- cities ---------------------------------------------------------------------------------------------


def test_a_log_of_one_city_needs_no_list() -> None:
    settings = Settings.from_env({"TAXI_CITY": "manhattan"})
    assert settings.served() == (CityPartition("manhattan", 0, "manhattan"),)


def test_cities_are_the_partitions_in_their_order() -> None:
    settings = Settings.from_env({"TAXI_CITIES": "manhattan, uptown=manhattan", "TAXI_CITY": "uptown"})
    assert [city.name for city in settings.served()] == ["manhattan", "uptown"]
    assert settings.own() == CityPartition("uptown", 1, "manhattan")


def test_the_first_of_several_cities_is_the_one_of_who_names_none() -> None:
    environ = {"TAXI_CITIES": "downtown=manhattan,uptown=manhattan", "TAXI_CITY": ""}
    assert Settings.from_env(environ).own() == CityPartition("downtown", 0, "manhattan")


def own_city(folder: Path, text: str = "") -> Path:
    """A folder with one city, `oslo`."""
    (folder / "oslo").mkdir(parents=True)
    given = text.encode() or (city_dir("helsinki") / "city.json").read_bytes()
    (folder / "oslo" / "city.json").write_bytes(given)
    for name in ("graph.npz", "trips.npz"):
        (folder / "oslo" / name).write_bytes((city_dir("helsinki") / name).read_bytes())
    return folder


def test_a_city_of_the_users_own_is_found_in_its_folder(tmp_path: Path) -> None:
    cities = own_city(tmp_path / "cities")
    environ = {"TAXI_CITIES": "manhattan,oslo,east=oslo", "TAXI_CITIES_DIR": str(cities)}
    folders = [city.folder for city in Settings.from_env(environ).served()]
    assert folders == ["manhattan", cities / "oslo", cities / "oslo"]


def test_a_city_outside_of_the_folder_of_cities_is_not_read(tmp_path: Path) -> None:
    own_city(tmp_path)
    (tmp_path / "cities").mkdir()
    environ = {"TAXI_CITIES": "x=../oslo", "TAXI_CITIES_DIR": str(tmp_path / "cities")}
    with pytest.raises(SettingsError, match=r"no city '\.\./oslo'"):
        Settings.from_env(environ)


def test_a_damaged_city_is_refused_at_the_start(tmp_path: Path) -> None:
    cities = own_city(tmp_path / "cities", '{"name": "oslo"}')
    with pytest.raises(SettingsError, match=r"^TAXI_CITIES_DIR=.*oslo/city\.json can't be read"):
        Settings.from_env({"TAXI_CITY": "oslo", "TAXI_CITIES_DIR": str(cities)})


@pytest.mark.parametrize("name", ["graph.npz", "trips.npz"])
def test_a_city_without_one_of_its_files_is_refused_at_the_start(name: str, tmp_path: Path) -> None:
    cities = own_city(tmp_path / "cities")
    environ = {"TAXI_CITY": "oslo", "TAXI_CITIES_DIR": str(cities)}
    whole = (cities / "oslo" / name).read_bytes()
    (cities / "oslo" / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SettingsError, match=rf"^TAXI_CITIES_DIR=.*oslo/{name} is damaged"):
        Settings.from_env(environ)
    (cities / "oslo" / name).unlink()
    with pytest.raises(SettingsError, match=rf"^TAXI_CITIES_DIR=.*oslo/{name} is missing"):
        Settings.from_env(environ)


def test_the_number_of_taxis_is_the_citys_unless_it_is_set() -> None:
    def drivers(**environ: str) -> int:
        return SimulatorSettings.from_env(environ).drivers

    assert drivers() == drivers(TAXI_CITY="manhattan") == 2000
    assert drivers(TAXI_CITY="helsinki") == load_city("helsinki").drivers
    assert drivers(TAXI_CITY="helsinki", TAXI_DRIVERS="") == load_city("helsinki").drivers
    assert drivers(TAXI_CITY="helsinki", TAXI_DRIVERS="2000") == 2000
