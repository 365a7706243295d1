"""Where Kafka is and who we are there, and its errors in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import errors
from kafka.admin import KafkaAdminClient

from inspector.adapters.kafka.build import build
from inspector.adapters.tls_files import check_tls_files
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError

# The client's own default waits up to 30 s between two attempts: too long to be back within a minute of an outage.
_RECONNECT_BACKOFF_MAX_MS = 2_000

_CREDENTIALS = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.AuthorizationError,
)
_UNKNOWN_TOPIC = (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError)
# What a client meets that speaks plainly to a TLS listener, or TLS to a plain one.
_ANOTHER_PROTOCOL = ("Invalid frame length", "WRONG_VERSION_NUMBER", "wrong version number", "record layer failure")
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


@dataclass(frozen=True)
class KafkaConnection:
    """Brokers (``host:port``, comma separated) and credentials, named as in the settings.

    Raises:
        BadInputError: a TLS file cannot be used. They are looked at once, here: kafka-python reads them at every
            connection and tells of a bad one as of a broker that is away, which it may be later, while it is replaced.
            Or SASL is asked for without a name or a password.
    """

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    client_id: str | None = None

    def __post_init__(self) -> None:
        if self.security_protocol.endswith("SSL"):
            check_tls_files("kafka.security", self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise BadInputError(
                f"a user name and a password for {self.security_protocol}",
                "no user name" if not self.sasl_username else "no password",
                "set kafka.security.username, and kafka.security.password_file or INSPECTOR_KAFKA__SECURITY__PASSWORD",
            )

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that every kafka-python client takes from here."""
        options = {
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_cafile": self.ssl_cafile,
            "ssl_certfile": self.ssl_certfile,
            "ssl_keyfile": self.ssl_keyfile,
            "client_id": self.client_id,
        }
        return {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",") if server.strip()],
            "reconnect_backoff_max_ms": _RECONNECT_BACKOFF_MAX_MS,
            **{name: value for name, value in options.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a cluster says of itself; ``version`` is the newest release whose protocol it speaks."""

    cluster_id: str
    version: str
    brokers: tuple[str, ...]


def check(connection: KafkaConnection, timeout_s: float) -> ClusterFacts:
    """Connect, authenticate and ask the cluster who it is.

    Raises:
        ServiceUnavailableError: no broker answered within ``timeout_s``.
        CredentialsError: a broker refused our name or password.
        BadInputError: the connection's settings cannot be used.
    """
    with translated_errors(connection), admin_client(connection, timeout_s) as admin:
        cluster = admin.describe_cluster()
        brokers = sorted(cluster["brokers"], key=lambda broker: broker["broker_id"])
        version = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
        return ClusterFacts(
            cluster_id=cluster["cluster_id"],
            version=".".join(str(part) for part in version),
            brokers=tuple(f"{broker['host']}:{broker['port']}" for broker in brokers),
        )


@contextmanager
def admin_client(connection: KafkaConnection, timeout_s: float = 10.0) -> Iterator[Any]:
    """Yield a kafka-python admin client, closed afterwards; it raises Kafka's own errors."""
    admin = build(
        KafkaAdminClient,
        **connection.client_options(),
        bootstrap_timeout_ms=int(timeout_s * 1000),
        request_timeout_ms=max(1000, int(timeout_s * 1000)),
    )
    try:
        yield admin
    finally:
        admin.close()


@contextmanager
def translated_errors(connection: KafkaConnection, topic: str | None = None) -> Iterator[None]:
    """Turn Kafka's errors raised inside the block into ours; ``topic`` is the one to name where one is unknown."""
    try:
        yield
    except (errors.KafkaError, OSError) as error:
        raise translate(error, connection, topic) from error


def translate(error: BaseException, connection: KafkaConnection, topic: str | None = None) -> InspectorError:
    """Return the error a person gets for one of Kafka's."""
    said = str(error) or type(error).__name__
    # Where it meets a refusal that it does not expect, the client only names it.
    if isinstance(error, _CREDENTIALS) or "AuthorizationFailedError" in said:
        return CredentialsError(
            f"Kafka at {connection.bootstrap_servers} to let us in ({connection.security_protocol})",
            said,
            "check kafka.security.* (protocol, mechanism, user name, password) and the user's rights there",
        )
    if isinstance(error, _UNKNOWN_TOPIC):
        return unknown_topic(topic or "the topic", connection)
    if isinstance(error, _TOO_LARGE):
        return BadInputError(
            "records within the topic's max.message.bytes", said, "run `inspector topics check` and raise the limit"
        )
    if isinstance(error, (errors.KafkaConfigurationError, errors.IllegalArgumentError)):
        return BadInputError("usable kafka.* settings", said, "correct them in inspector.yaml or the environment")
    return ServiceUnavailableError(
        f"Kafka at {connection.bootstrap_servers} ({connection.security_protocol})", said, _what_to_do(said)
    )


def _what_to_do(said: str) -> str:
    if "certificate verify failed" in said:
        return "check kafka.security.ca_file, and for whom and until when the broker's certificate is made out"
    if any(sign in said for sign in _ANOTHER_PROTOCOL):
        return "check that kafka.security.protocol is the listener's, and that kafka.bootstrap_servers names Kafka"
    return "check that it runs and can be reached from here (with kafka.security.protocol), then try again"


def unknown_topic(topic: str, connection: KafkaConnection) -> BadInputError:
    """Return the error for a topic that does not exist."""
    return BadInputError(
        f"topic {topic} at {connection.bootstrap_servers}",
        "no such topic that we may see",
        "run `inspector topics create`, correct kafka.*_topic if it has another name, or check our rights (ACL)",
    )
