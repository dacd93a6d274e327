# SPDX-License-Identifier: Apache-2.0
"""The description of the HTTP API (OpenAPI 3.1). docs/openapi.json is generated from it."""

from functools import cache
from typing import Any, Final

import msgspec

from gateway.http.ride_service import RideRequest
from gateway.http.route_service import STARTS_MAX
from taxi import __version__
from taxi.messages import RideOffered, RideReassigned
from taxi.messages.states import DriverStatus, RideState

_SCHEMAS: Final = "#/components/schemas"
_COUNT: Final = {"type": "integer", "minimum": 0}
_PLACE: Final = {
    "type": "array",
    "description": "Longitude and latitude in degrees, WGS 84.",
    "prefixItems": [{"type": "number"}, {"type": "number"}],
    "minItems": 2,
    "maxItems": 2,
}
_WHY: Final = {
    "description": "The last offer or order as it is on the log (a field at its default is left out)."
    " Null before there is one, and where this gateway began to read after it.",
    "oneOf": [
        *({"$ref": f"{_SCHEMAS}/{name}"} for name in ("RideOffered", "RideReassigned")),
        {"type": "null"},
    ],
}
_CANDIDATE: Final = {
    "type": "object",
    "description": "A candidate of `why`, as it was when this gateway read the decision.",
    "properties": {
        "driver": {"type": "integer"},
        "place": {
            "description": "Null if no position was within 5 s of the decision.",
            "oneOf": [_PLACE, {"type": "null"}],
        },
        "ride": {
            "type": ["string", "null"],
            "description": "The ride that the same batch gave to this driver.",
        },
    },
    "required": ["driver", "place", "ride"],
}
_STEP: Final = {
    "type": "object",
    "description": "An offer or order, or what became of it, as far as this gateway has read. Oldest first.",
    "properties": {
        "type": {"type": "string", "description": "The event's type."},
        "at_ms": {"type": "integer", "description": "Log time."},
        "driver": {"type": ["integer", "null"]},
        "eta_s": {"type": ["integer", "null"], "description": "To the pickup, in city time."},
    },
    "required": ["type", "at_ms", "driver", "eta_s"],
}
_CITY: Final = {
    "name": "city",
    "in": "query",
    "required": False,
    "description": "Which of the cities that the gateway shows; without it, the first.",
    "schema": {"type": "string"},
}
_PART_ACTIONS: Final = {
    "kill": "Kill a process of a local demo with SIGKILL",
    "freeze": "Stop a process of a local demo with SIGSTOP; the supervisor replaces it if that lasts",
    "wake": "Let a frozen process of a local demo continue, with SIGCONT",
}
_NO_CITY: Final = "The gateway does not show this city."
_ANY: Final = {
    400: "The request can't be read, or it does not name one host.",
    401: "A token is needed, or this one does not count (only where the gateway asks for tokens).",
    403: "The token does not allow this, or the host is not one of this machine.",
}


def document() -> dict[str, Any]:
    """Build the OpenAPI document."""
    structs = [RideRequest, RideOffered, RideReassigned]
    _, schemas = msgspec.json.schema_components(structs, ref_template=f"{_SCHEMAS}/{{name}}")
    schemas = msgspec.json.decode(
        msgspec.json.encode(schemas)
    )  # defaults are tuples there, and arrays in JSON
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taxistream gateway",
            "version": __version__,
            "summary": "Rides and status of a live taxi city.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": schemas | _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


@cache
def encoded() -> bytes:
    """The OpenAPI document as JSON, cached, because building it takes a millisecond."""
    return msgspec.json.encode(document())


def _paths() -> dict[str, Any]:
    return {
        "/api/status": {
            "parameters": [_CITY],
            "get": _operation(
                "getStatus",
                "Counts at the last cut.",
                "Status",
                {404: _NO_CITY, 503: "Still reading the log."},
            ),
        },
        "/api/rides": {
            "parameters": [_CITY],
            "post": _operation(
                "requestRide",
                "Ask for a ride from here to there. The same id again is the same request again.",
                "Accepted",
                {
                    404: _NO_CITY,
                    400: "The body is no JSON, or the request can't be read, or it does not name one host.",
                    413: "The body is larger than 16 KiB.",
                    415: "The body is not application/json.",
                    429: "Too many from this address: after so many seconds again.",
                    422: "A place outside the city, or of the wrong type.",
                    503: "The log does not answer: send the same request again.",
                },
                status=202,
            )
            | {"requestBody": {"required": True, "content": _json("RideRequest")}},
        },
        "/api/rides/{ride}": {
            "parameters": [_parameter("ride", "^[A-Za-z0-9_-]{1,40}$"), _CITY],
            "get": _operation(
                "getRide",
                "The state of a ride.",
                "Ride",
                {404: f"Unknown, not yet known, or long ended. {_NO_CITY}"},
            ),
            "delete": _operation(
                "cancelRide",
                "Ask for its cancellation.",
                "Accepted",
                {
                    404: f"No such id. {_NO_CITY}",
                    409: "It has ended.",
                    429: "Too many from this address: after so many seconds again.",
                    503: "The log does not answer.",
                },
                status=202,
            ),
        },
        "/api/drivers/{driver}": {
            "parameters": [_parameter("driver", "^[0-9]{1,10}$"), _CITY],
            "get": _operation(
                "getDriver",
                "A driver's shift, ride and trips.",
                "Driver",
                {404: f"No such driver. {_NO_CITY}", 503: "Still reading the log."},
            ),
        },
        "/api/route": {
            "parameters": [
                _query(
                    "from",
                    f"longitude,latitude[,heading]; up to {STARTS_MAX} of them. The nearest by time counts.",
                    many=True,
                ),
                _query("to", "longitude,latitude"),
                _CITY,
            ],
            "get": _operation(
                "getRoute",
                "The fastest way along the streets at this hour, and what a trip on it would cost.",
                "RouteAhead",
                {
                    404: _NO_CITY,
                    422: "A place outside the city, or too far from a street.",
                    429: "Too many from this address: after so many seconds again.",
                    503: "Still reading the log.",
                },
            ),
        },
        "/api/scenarios": {
            "parameters": [_CITY],
            "get": _operation(
                "getScenarios",
                "The scenarios that can take place in a city (a local demo only).",
                "Scenarios",
                {404: _NO_CITY, 500: "A file is wrong.", 503: "Still reading the log."},
            ),
        },
        **{
            f"/api/scenarios/{{name}}/{action}": {
                "parameters": [_parameter("name", "^[a-z][a-z0-9-]{0,39}$"), _CITY],
                "post": _operation(
                    f"{action}Scenario",
                    f"Ask to {action} a scenario (a local demo only, only from its own page).",
                    "ScenarioAsked",
                    {
                        403: "From elsewhere, or the token does not allow it.",
                        404: f"No such scenario. {_NO_CITY}",
                        409: conflict,
                        503: "The log does not answer.",
                        **more,
                    },
                    status=202,
                ),
            }
            for action, conflict, more in (
                ("start", "It is under way.", {422: "It has no area in this city.", 500: "A file is wrong."}),
                ("stop", "It is not under way.", {}),
            )
        },
        "/api/parts": {
            "get": _operation("getParts", "The processes of a local demo (only there).", "Parts", {})
        },
        **{f"/api/parts/{{name}}/{action}": _on_part(action, does) for action, does in _PART_ACTIONS.items()},
    }


def _on_part(action: str, does: str) -> dict[str, Any]:
    return {
        "parameters": [_parameter("name", "^[a-z0-9-]+$")],
        "post": _operation(
            f"{action}Part",
            f"{does} (only there, only from its own page).",
            "Signalled",
            {
                403: "From elsewhere, or the token does not allow it.",
                404: "No such part.",
                409: "It is not running just now.",
            },
            status=202,
        ),
    }


def _operation(
    name: str, summary: str, answer: str, problems: dict[int, str], *, status: int = 200
) -> dict[str, Any]:
    responses: dict[str, Any] = {str(status): {"description": summary, "content": _json(answer)}}
    for code, why in sorted((_ANY | problems).items()):
        problem = {"application/problem+json": {"schema": {"$ref": f"{_SCHEMAS}/Problem"}}}
        responses[str(code)] = {"description": why, "content": problem}
    security: list[dict[str, list[str]]] = [{}, {"token": []}]
    return {"operationId": name, "summary": summary, "responses": responses, "security": security}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"{_SCHEMAS}/{schema}"}}}


def _parameter(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _query(name: str, description: str, *, many: bool = False) -> dict[str, Any]:
    text = {"type": "string"}
    schema = {"type": "array", "items": text, "minItems": 1, "maxItems": STARTS_MAX} if many else text
    return {"name": name, "in": "query", "required": True, "description": description, "schema": schema}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }


def _schemas() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    drivers = ["total", *(status.name.lower() for status in DriverStatus)]
    rides = ["waiting", "active", "completed", "cancelled", "no_show", "expired"]
    part = _object({"name": text, "pid": number, "state": text, "restarts": _COUNT})
    times = {
        name: {"type": "integer", "description": "Log time, epoch milliseconds."}
        for name in ("requested_ms", "assigned_ms", "arrived_ms", "started_ms", "ended_ms")
    }
    return {
        "Status": _object(
            {
                "city": text,
                "gateway": _object({"id": text, "pid": number}),
                "cursor": _object({"epoch": text, "loc": _COUNT, "ev": _COUNT}),
                "at_ms": number,
                "speed": {
                    "type": "integer",
                    "description": "How many times as fast as the clock the people of the city live.",
                },
                "city_ms": {"type": "integer", "description": "City time at at_ms."},
                "scenarios": {"type": "array", "items": text, "description": "Those under way."},
                "drivers": _object(dict.fromkeys(drivers, _COUNT)),
                "rides": _object(dict.fromkeys(rides, _COUNT)),
                "version": text,
                "cities": {
                    "type": "array",
                    "items": text,
                    "description": "All cities that this gateway shows.",
                },
            },
            {"parts": {"type": "array", "items": text}},
        ),
        "Accepted": _object({"ride": text, "status": text}),
        "Ride": _object(
            {
                "ride": text,
                "state": {"enum": [state.name for state in RideState]},
                "attempt": _COUNT,
                "driver": {"type": ["integer", "null"]},
                "eta_s": {"type": ["integer", "null"]},
                "pickup": _PLACE,
                "dropoff": _PLACE,
                "reason": {"type": ["string", "null"]},
                "why": _WHY,
                "candidates": {"type": "array", "items": _CANDIDATE},
                "steps": {"type": "array", "items": _STEP},
                "fare_cents": {"type": ["integer", "null"], "description": "Of a completed ride."},
            },
            times,
        ),
        "Driver": _object(
            {
                "driver": _COUNT,
                "status": {"enum": [status.name for status in DriverStatus]},
                "on_shift": {"type": "boolean"},
                "leaving": {"type": "boolean", "description": "The shift ends with the ride."},
                "shift_since_ms": {
                    "type": ["integer", "null"],
                    "description": "Log time. Null off shift, and if this gateway began to read later.",
                },
                "ride": {"type": ["string", "null"]},
                "trips": _COUNT,
                "earned_cents": _COUNT,
                "distance_m": _COUNT | {"description": "Of the fastest ways from pickup to drop-off."},
                "counted_since_ms": _COUNT
                | {
                    "description": "Log time from which on trips, fares and metres are counted: where this"
                    " gateway began to read. Gateways differ in it."
                },
            }
        ),
        "RouteAhead": _object(
            {
                "start": _COUNT | {"description": "Which `from` it begins at."},
                "line": {"type": "array", "items": _PLACE},
                "time_s": _COUNT | {"description": "In city time."},
                "length_m": _COUNT,
                "speed": _COUNT | {"description": "Seconds of `time_s` that pass in one of the clock."},
                "fare_cents": _COUNT | {"description": "By the tariff, for this way and this time."},
            }
        ),
        "Scenarios": _object({"scenarios": {"type": "array", "items": _scenario()}}),
        "ScenarioAsked": _object({"scenario": text, "city": text}),
        "Parts": _object({"parts": {"type": "array", "items": part}}),
        "Signalled": _object({"part": text, "pid": number}),
        "Problem": _object({"type": text, "title": text, "status": number, "detail": text}),
    }


def _scenario() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    return _object(
        {
            "name": text,
            "title": text,
            "about": text,
            "lasts_s": number | {"description": "City time."},
            "assumptions": {"type": "array", "items": text},
            "sources": {"type": "array", "items": text},
            "place": text | {"description": "The name of the area; may be empty."},
            "area": {
                "type": ["array", "null"],
                "description": "Longitude and latitude of the centre, radius in metres; null: everywhere.",
                "prefixItems": [{"type": "number"}, {"type": "number"}, {"type": "integer"}],
            },
            "since_ms": {
                "type": ["integer", "null"],
                "description": "Log time since which it is under way; null: it is not.",
            },
        }
    )
