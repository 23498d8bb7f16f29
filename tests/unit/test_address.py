"""Redis addresses: what is taken from where, what is refused, and that no password is shown."""

import ssl
import subprocess
from pathlib import Path

import pytest
import redis

from openrs_core.errors import RunError
from openrs_core.ring.address import address, refusal, refuse_password

LOGIN = {"OPENRS_REDIS_USERNAME": "ann", "OPENRS_REDIS_PASSWORD": "from-environment"}
TLS = {"ssl_cert_reqs": "required", "ssl_check_hostname": True,
       "ssl_min_version": ssl.TLSVersion.TLSv1_2}  # fmt: skip
SECRET = "hush"


@pytest.mark.parametrize(
    ("url", "environment", "shown", "options"),
    [
        ("redis://host:1", {}, "redis://host:1", {}),
        ("redis://[::1]:1/3", {}, "redis://[::1]:1/3", {}),
        ("redis://:pw@host:1", {}, "redis://host:1", {"password": "pw"}),
        ("redis://bob:p%40%2Fw@host", {}, "redis://host", {"username": "bob", "password": "p@/w"}),
        ("redis://bob@host", LOGIN, "redis://host",
         {"username": "bob", "password": "from-environment"}),
        ("redis://bob:pw@host", LOGIN, "redis://host", {"username": "bob", "password": "pw"}),
        ("redis://host", LOGIN, "redis://host",
         {"username": "ann", "password": "from-environment"}),
        ("rediss://host:1", {}, "rediss://host:1", TLS),
        ("rediss://:pw@host:1", {}, "rediss://host:1", {**TLS, "password": "pw"}),
        ("unix:///tmp/a.sock", {}, "unix:///tmp/a.sock", {}),
        ("unix://:pw@/tmp/a.sock?db=2", {}, "unix:///tmp/a.sock", {"password": "pw", "db": 2}),
        ("unix:///tmp/a.sock", {"OPENRS_REDIS_CA": "elsewhere"}, "unix:///tmp/a.sock", {}),
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(url, environment, shown, options):
    """The address goes before the environment."""
    found = address(url, environment)
    assert (found.shown, found.options) == (shown, options)
    assert "pw" not in repr(found)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_file_is_read_without_the_end_of_its_line(tmp_path, end):
    path = tmp_path / "password"
    path.write_bytes(f"two words {end}".encode())
    found = address("redis://host", {"OPENRS_REDIS_PASSWORD_FILE": str(path)})
    assert found.options == {"password": "two words "}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (SECRET, "redis url (not shown): write redis://"),
        (f"user:{SECRET}@host:6379", "redis url (not shown): write redis://"),
        (f"http://:{SECRET}@host", "redis url http://...: write redis://"),
        (f"redis://:{SECRET}", "%23 for #"),
        (f"redis://:{SECRET}#x@host:1", "%23 for #"),
        (f"redis://:1#{SECRET}@host:1", "%23 for #"),
        (f"redis://:{SECRET}/x@host:1", "%2F for /"),
        (f"redis://:1/{SECRET}@host:1", "%2F for /"),
        (f"redis://:{SECRET}?x@host:1", "%3F for ?"),
        (f"redis://user:1?{SECRET}=1@host:1", "%3F for ?"),
        (f"redis://:{SECRET}@host:port", "redis url redis://...: cannot be understood"),
        (f"redis://:{SECRET}@[host", "redis url redis://...: cannot be understood"),
        (f"redis://:{SECRET}@host/path", "redis url redis://...: cannot be understood"),
        (f"unix://:{SECRET}/x@/tmp/a.sock", "redis url unix://...: cannot be understood"),
        (f"unix://:{SECRET}@", "redis url unix://...: cannot be understood"),
        (f"redis://host?password={SECRET}", "redis url redis://host: password cannot be set"),
        (f"rediss://:{SECRET}@host?ssl_cert_reqs=none", "ssl_cert_reqs cannot be set"),
        ("rediss://host?ssl_check_hostname=false", "ssl_check_hostname cannot be set"),
        ("rediss://host?db=1&ssl_ca_certs=/x&ssl_ciphers=NULL", "ssl_ca_certs, ssl_ciphers cannot"),
        ("redis://host?socket_timeout=1", "socket_timeout cannot be set in the address; only db"),
        ("redis://host?db=x", "db must be a number"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_password(url, said):
    with pytest.raises(RunError) as found:
        address(url, {})
    assert said in str(found.value)
    assert SECRET not in str(found.value)
    assert "\n" not in str(found.value)


def test_what_the_environment_gives_must_be_usable(tmp_path):
    empty, binary, text = (tmp_path / name for name in ("empty", "binary", "text"))
    empty.write_text("\n")
    binary.write_bytes(b"hush\xff")
    text.write_text("no certificate")
    missing = tmp_path / "missing"
    for environment, said in [
        ({"PASSWORD": "a", "PASSWORD_FILE": str(text)}, "both set; keep one"),
        ({"PASSWORD_FILE": str(missing)}, f"PASSWORD_FILE is '{missing}': No such file"),
        ({"PASSWORD_FILE": str(tmp_path)}, "Is a directory"),
        ({"PASSWORD_FILE": str(empty)}, "the file is empty"),
        ({"PASSWORD_FILE": str(binary)}, "it is not UTF-8"),
        ({"CA": str(missing)}, f"OPENRS_REDIS_CA is '{missing}': No such file"),
        ({"CA": str(text)}, f"OPENRS_REDIS_CA is '{text}': no certificate"),
        ({"KEY": str(text)}, "OPENRS_REDIS_KEY is set, but OPENRS_REDIS_CERT is not"),
        ({"CERT": str(missing)}, f"OPENRS_REDIS_CERT is '{missing}'"),
        ({"CERT": str(text), "KEY": str(missing)}, f"OPENRS_REDIS_KEY '{missing}'"),
    ]:
        with pytest.raises(RunError) as found:
            address("rediss://host", {f"OPENRS_REDIS_{k}": v for k, v in environment.items()})
        assert said in str(found.value)
        assert "hush" not in str(found.value)


def test_an_encrypted_key_is_refused_and_never_asked_for(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:x", "-subj", "/CN=a",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    environment = {"OPENRS_REDIS_CERT": str(cert), "OPENRS_REDIS_KEY": str(key)}
    with pytest.raises(RunError, match="OPENRS_REDIS_KEY"):
        address("rediss://host", environment)


def test_a_ca_for_an_address_without_tls_is_a_mistake():
    with pytest.raises(RunError, match="redis://host: OPENRS_REDIS_CA is set, so write rediss://"):
        address("redis://:hush@host", {"OPENRS_REDIS_CA": "/ca.pem"})


@pytest.mark.parametrize(
    "url",
    ["redis://:hush@host", "rediss://user:hush@host", "unix://:hush@/s", "redis://h?password=hush",
     "redis://:hu/sh@host", "redis://:hu#sh@host"],
)  # fmt: skip
def test_a_password_in_an_argument_is_seen_however_it_is_written(url):
    with pytest.raises(RunError, match="can be read by everybody on this machine") as found:
        refuse_password(url)
    assert "hu" not in str(found.value).replace("human", "")


@pytest.mark.parametrize(
    "url", ["redis://host:6379/0", "rediss://user@host", "unix:///tmp/a:b@c.sock", "redis://[::1]"]
)
def test_an_argument_without_a_password_is_taken(url):
    refuse_password(url)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.AuthenticationError("Authentication required."), "a password is needed"),
        (redis.AuthenticationError("invalid username-password pair"), "wrong user or password"),
        (redis.AuthenticationError("AUTH <password> called without any password"), "has none"),
        (redis.exceptions.NoPermissionError("No permissions to access a key"), "not permitted"),
        (redis.ResponseError("unknown command 'AUTH', with args beginning with: 'hush'"), "AUTH"),
        (redis.ResponseError("DENIED Redis is running in protected mode because"), "protected"),
    ],
)
def test_what_the_server_refuses_is_final_and_said_without_the_password(error, said):
    assert said in (refusal(error) or "")
    assert "hush" not in (refusal(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("Error 111 connecting to localhost:1. Connection refused."),
        redis.ConnectionError("Connection closed by server."),
        redis.TimeoutError("Timeout reading from socket"),
        redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.ResponseError("wrong number of arguments"),
        OSError("disk full"),
    ],
)
def test_what_may_pass_is_no_refusal(error):
    assert refusal(error) is None


def test_a_broken_connection_under_tls_may_pass():
    error = redis.ConnectionError("Error while reading")
    error.__context__ = ssl.SSLEOFError(8, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred")
    assert refusal(error) is None


def test_the_variables_that_are_read_are_those_that_are_documented():
    root = Path(__file__).parents[2]
    names = {f"OPENRS_REDIS{end}" for end in
             ("", "_USERNAME", "_PASSWORD", "_PASSWORD_FILE", "_CA", "_CERT", "_KEY")}  # fmt: skip
    page = (root / "docs" / "operations.md").read_text()
    assert {name for name in names if f"`{name}`" not in page} == set()
