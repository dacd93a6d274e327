# SPDX-License-Identifier: Apache-2.0
"""A bad setting names itself and says what is wrong."""

import pytest

from dispatcher.settings import Settings as DispatcherSettings
from taxi.cities import City
from taxi.runtime.settings import KNOWN, Settings, SettingsError, defaults, variable


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_converted_to_the_type_of_their_field() -> None:
    settings = Settings.from_env({"TAXI_ADMIN_PORT": "9101", "KAFKA_BOOTSTRAP_SERVERS": "broker:9092"})
    assert (settings.admin_port, settings.kafka_bootstrap_servers) == (9101, "broker:9092")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TAXI_ADMIN_PORT", "70000"),
        ("TAXI_ADMIN_PORT", "http"),
        ("TAXI_LOG_FORMAT", "xml"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_BOOTSTRAP_SERVERS", ""),
    ],
)
def test_a_bad_value_is_named_with_its_variable(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=key):
        Settings.from_env({key: value})


def test_a_choice_that_there_is_not_is_answered_by_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="TAXI_POLICY='nope': one of batched, greedy, fifo is wanted"):
        DispatcherSettings.from_env({"TAXI_POLICY": "nope"})


def test_an_unknown_setting_is_named_and_the_nearest_suggested() -> None:
    with pytest.raises(SettingsError, match=r"TAXI_ADMIN_PRT.*TAXI_ADMIN_PORT"):
        Settings.from_env({"TAXI_ADMIN_PRT": "1"})


def test_a_setting_of_another_service_is_no_error_where_it_is_known() -> None:
    assert Settings.from_env({"TAXI_DRIVERS": "5"}, also=KNOWN) == Settings()


def test_variables_of_other_programs_are_left_alone() -> None:
    assert Settings.from_env({"KAFKA_HEAP_OPTS": "-Xmx1g", "PATH": "/bin"}) == Settings()


def test_defaults_are_listed_by_variable() -> None:
    assert defaults(Settings)["TAXI_CITY"] == "manhattan"
    assert variable("kafka_ssl_cafile") == "KAFKA_SSL_CAFILE"


def test_a_log_of_one_city_needs_no_list() -> None:
    settings = Settings.from_env({"TAXI_CITY": "berlin"})
    assert settings.served() == (City("berlin", 0, "berlin"),)


def test_cities_are_the_partitions_in_their_order() -> None:
    settings = Settings.from_env({"TAXI_CITIES": "manhattan, uptown=manhattan", "TAXI_CITY": "uptown"})
    assert [city.name for city in settings.served()] == ["manhattan", "uptown"]
    assert settings.own() == City("uptown", 1, "manhattan")


def test_the_first_of_several_cities_is_the_one_of_who_names_none() -> None:
    assert Settings.from_env({"TAXI_CITIES": "berlin,paris"}).own() == City("berlin", 0, "berlin")


@pytest.mark.parametrize(
    "environ",
    [
        {"TAXI_CITIES": "berlin,,paris"},
        {"TAXI_CITIES": "berlin,berlin=paris"},
        {"TAXI_CITIES": "berlin,paris", "TAXI_CITY": "rome"},
    ],
)
def test_a_bad_list_of_cities_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TAXI_CITIES"):
        Settings.from_env(environ)
