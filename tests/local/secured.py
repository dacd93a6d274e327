# SPDX-License-Identifier: Apache-2.0
"""A broker that wants TLS, a password, and rights: only those that docs/operations.md says are needed."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from taxi.topics import specs
from taxistream.local.broker import BrokerPlan
from taxistream.local.broker_files import BrokerFiles

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
USERS = ("simulator", "dispatcher", "gateway", "verifier", "topics")
PASSWORD = "open-sesame"
_ALLOW, _ANY_HOST = 3, "*"
_KINDS = {"Topic": 2, "Group": 3, "TransactionalId": 5}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
_LITERAL, _PREFIXED = 3, 4


@dataclass(frozen=True)
class Right:
    """One line of an access control list."""

    user: str
    operation: str
    kind: str
    name: str
    is_prefix: bool = False


def documented_rights(prefix: str) -> list[Right]:
    """The table "Rights" of the operations page, word for word."""
    section = PAGE.read_text(encoding="utf-8").split("### Rights")[1].split("\n#")[0]
    rights: list[Right] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        user = cells[0].strip("`").removeprefix("taxi ")
        if user in USERS:
            for wish in (*cells[1].split(";"), *cells[2].split(";")):
                rights += _rights(user, wish.strip(), prefix)
    return rights


def _rights(user: str, wish: str, prefix: str) -> list[Right]:
    """`Read, Describe Group "x"`, `Write "events", "commands"`, `Create on all six`: what that means."""
    names = re.findall(r"`([^`]+)`", wish)
    operations = [word for word in re.findall(r"\w+", wish.split("`", maxsplit=1)[0]) if word in _OPERATIONS]
    kind = next((kind for kind in ("Group", "TransactionalId") if kind in wish), "Topic")
    if "all six" in wish:
        names = [spec.name for spec in specs()]
    elif kind == "Topic":
        names = [f"taxi.{name}" for name in names]
    is_prefix = "prefixed pattern" in wish
    return [Right(user, op, kind, prefix + name, is_prefix) for name in names for op in operations]


async def grant(bootstrap_servers: str, rights: list[Right]) -> None:
    """As the broker's owner, who comes by the door without a lock."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await client.start()
    try:
        for right in rights:
            pattern = _PREFIXED if right.is_prefix else _LITERAL
            principal, operation = f"User:{right.user}", _OPERATIONS[right.operation]
            kind = _KINDS[right.kind]
            request = CreateAclsRequest(kind, right.name, pattern, principal, _ANY_HOST, operation, _ALLOW)
            answer = await client._send_request(request)
            assert [code for code, _ in answer.creation_responses] == [0], answer
    finally:
        await client.close()


def lock(plan: BrokerPlan, home: Path, port: int) -> Path:
    """A second door for `plan`'s broker, with TLS and passwords. Returns its certificate."""
    store, certificate = home / "broker.p12", home / "broker.pem"
    names = ["-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "broker"]
    keytool = ["keytool", "-keystore", str(store), *names]
    for command in (
        [*keytool, "-genkeypair", "-keyalg", "EC", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1"],
        [*keytool, "-exportcert", "-rfc", "-file", str(certificate)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
    more = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": login,
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(store),
        "ssl.keystore.password": PASSWORD,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Controller, broker and the owner come without a name.
        "super.users": "User:ANONYMOUS",
    }
    door, properties = f",SASL_SSL://127.0.0.1:{port}", BrokerFiles(home).properties
    text = properties.read_text()
    text = re.sub(r"^((advertised\.)?listeners=.*)$", rf"\1{door}", text, flags=re.MULTILINE)
    text = re.sub(
        r"^(listener\.security\.protocol\.map=.*)$", r"\1,SASL_SSL:SASL_SSL", text, flags=re.MULTILINE
    )
    properties.write_text(text + "".join(f"{key}={value}\n" for key, value in more.items()))
    return certificate
