"""Settings that look secured are: nobody who gives a password or an authority speaks to Kafka in the clear."""

from __future__ import annotations

import pytest

from inspector.apps import wiring
from inspector.domain.errors import BadInputError
from inspector.settings import Settings
from inspector.settings.sections import KafkaSecurity, KafkaSettings


@pytest.mark.parametrize(
    ("security", "unused"),
    [
        ({"username": "u"}, "username"),
        ({"password": "hunter2"}, "password"),
        ({"password_file": "/p", "username": "u"}, "username, password_file"),
        ({"ca_file": "/ca.pem"}, "ca_file"),
        ({"cert_file": "/c.pem", "key_file": "/k.pem"}, "cert_file, key_file"),
        ({"protocol": "SASL_PLAINTEXT", "username": "u", "password": "hunter2", "ca_file": "/ca.pem"}, "ca_file"),
        ({"protocol": "SSL", "username": "u"}, "username"),
    ],
    ids=str,
)
def test_a_protocol_that_would_leave_security_out_is_refused(security: dict[str, str], unused: str) -> None:
    settings = Settings(kafka=KafkaSettings(security=KafkaSecurity.model_validate(security)))
    with pytest.raises(BadInputError) as caught:
        wiring.kafka_connection(settings)
    assert caught.value.expected.endswith(f"kafka.security.{unused}")
    assert "hunter2" not in str(caught.value)


def test_sasl_in_the_clear_and_no_security_at_all_are_taken_where_they_are_asked_for() -> None:
    asked = KafkaSecurity.model_validate({"protocol": "SASL_PLAINTEXT", "username": "u", "password": "p"})
    assert wiring.kafka_connection(Settings(kafka=KafkaSettings(security=asked))).sasl_password == "p"
    assert wiring.kafka_connection(Settings()).security_protocol == "PLAINTEXT"
