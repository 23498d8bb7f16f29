"""Where Redis is, and how this process proves that it may use it.

The address is `--redis` or OPENRS_REDIS. What proves it comes from the environment or from files,
never from a command line, which everybody on the machine can read:

    OPENRS_REDIS                    the address; here it may hold user and password
    OPENRS_REDIS_USERNAME           of an ACL user; without it, the default user
    OPENRS_REDIS_PASSWORD           the password, or
    OPENRS_REDIS_PASSWORD_FILE      a file that holds it and nothing else
    OPENRS_REDIS_CA                 rediss: certificates to trust beside those the system trusts
    OPENRS_REDIS_CERT, _KEY         rediss: this process's own certificate, if the server wants one

What the address itself says goes before the environment. Certificate and host name are verified
always; there is no way to turn that off.
"""

import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis

from openrs_core.errors import RunError

SCHEMES = ("redis", "rediss", "unix")

PROBE_SECONDS = 2.0
"""How long a port may take to show that it speaks TLS."""

_NO_SECRETS = (
    "--redis: a password on a command line can be read by everybody on this machine; put it in "
    "OPENRS_REDIS_PASSWORD_FILE or OPENRS_REDIS_PASSWORD, or the whole address in OPENRS_REDIS"
)
_ILL_FORMED = (
    "cannot be understood; write redis://HOST:PORT, rediss://HOST:PORT or unix:///SOCKET, and in a "
    "password %23 for #, %2F for /, %3A for :, %3F for ?, %40 for @"
)
_PASSWORD = "set OPENRS_REDIS_PASSWORD_FILE or OPENRS_REDIS_PASSWORD"

_FATAL_TLS = re.compile(
    "CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|PROTOCOL_VERSION|WRONG_VERSION|UNSUPPORTED_PROTOCOL"
    "|ACCESS_DENIED|UNRECOGNIZED_NAME"
)
"""OpenSSL's reasons that stay the same however often one tries."""

_NOT_THIS_NAME = {62, 64}
"""OpenSSL's codes for a certificate of another host name or IP address."""


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis address, taken apart."""

    shown: str
    """Without user and password: for redis.Redis.from_url, for messages and for logs."""

    options: dict[str, Any] = field(repr=False)
    """The rest of what redis.Redis.from_url needs; holds the password."""


def address(url: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Take an address apart, and add to it what the environment says.

    Raises:
        RunError: it is no Redis address, asks for more than openrs allows, or a file it needs
            cannot be used. The message holds no part of a password.
    """
    parts = _split(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    options = _database(parts, shown) | _login(parts, environment)
    if parts.scheme == "rediss":
        options |= _tls(environment)
    elif parts.scheme == "redis" and environment.get("OPENRS_REDIS_CA"):
        raise RunError(f"redis url {shown}: OPENRS_REDIS_CA is set, so write rediss:// to use TLS")
    return Address(shown, options)


def refuse_password(url: str) -> None:
    """Raise RunError when an address given on the command line holds a password."""
    rest = url.partition("://")[2]
    login = "" if rest.startswith("/") else rest.rpartition("@")[0]
    if ":" in login or "password=" in rest:
        raise RunError(_NO_SECRETS)


def _split(url: str) -> SplitResult:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        known = f"{scheme}://..." if re.fullmatch("[a-z]+", scheme) and separator else "(not shown)"
        raise RunError(f"redis url {known}: write redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may hold a part of the password
        raise RunError(f"redis url {scheme}://...: {_ILL_FORMED}") from None
    host = parts.netloc.rpartition("@")[2]
    if scheme == "unix":
        good = not host and len(parts.path) > 1
    else:
        good = bool(re.fullmatch("(/[0-9]*)?", parts.path)) and (port is None or port > 0)
    # an @ where none belongs: the password was cut in two by one of # / ?
    if not good or parts.fragment or "@" in parts.query:
        raise RunError(f"redis url {scheme}://...: {_ILL_FORMED}")
    return parts


def _database(parts: SplitResult, shown: str) -> dict[str, int]:
    """The only thing that may follow a `?`: redis-py would take anything, `ssl_cert_reqs` too."""
    asked = parse_qs(parts.query, keep_blank_values=True)
    if others := sorted(set(asked) - {"db"}):
        raise RunError(
            f"redis url {shown}: {', '.join(others)} cannot be set in the address; only db can"
        )
    if not asked:
        return {}
    if not re.fullmatch("[0-9]+", asked["db"][0]):
        raise RunError(f"redis url {shown}: db must be a number")
    return {"db": int(asked["db"][0])}


def _login(parts: SplitResult, environment: Mapping[str, str]) -> dict[str, str]:
    username = unquote(parts.username or "") or environment.get("OPENRS_REDIS_USERNAME")
    password = unquote(parts.password or "") or _password(environment)
    found = {"username": username, "password": password}
    return {key: value for key, value in found.items() if value}


def _password(environment: Mapping[str, str]) -> str | None:
    given, path = (environment.get(f"OPENRS_REDIS_PASSWORD{end}") for end in ("", "_FILE"))
    if given and path:
        raise RunError(
            "OPENRS_REDIS_PASSWORD and OPENRS_REDIS_PASSWORD_FILE are both set; keep one of them"
        )
    if not path:
        return given
    try:
        text = Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise RunError(f"OPENRS_REDIS_PASSWORD_FILE is {path!r}: {error.strerror}") from error
    except UnicodeDecodeError:  # its text holds bytes of the password
        raise RunError(f"OPENRS_REDIS_PASSWORD_FILE is {path!r}: it is not UTF-8") from None
    if not text:
        raise RunError(f"OPENRS_REDIS_PASSWORD_FILE is {path!r}: the file is empty")
    return text


def _tls(environment: Mapping[str, str]) -> dict[str, Any]:
    ca, cert, key = (environment.get(f"OPENRS_REDIS_{name}") for name in ("CA", "CERT", "KEY"))
    if key and not cert:
        raise RunError("OPENRS_REDIS_KEY is set, but OPENRS_REDIS_CERT is not; set both")
    trial = ssl.create_default_context()  # a file that cannot be used is named here
    try:
        named = f"OPENRS_REDIS_CA is {ca!r}"
        if ca:
            trial.load_verify_locations(ca)
        named = f"OPENRS_REDIS_CERT is {cert!r}, OPENRS_REDIS_KEY {key!r}"
        if cert:
            trial.load_cert_chain(cert, key, password="")  # never asks for one on the terminal
    except OSError as error:
        raise RunError(f"{named}: {_plainly(error)}") from error
    files = {"ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": key}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        **{option: path for option, path in files.items() if path},
    }


# --- what cannot be mended by trying again -------------------------------------------------------


def refusal(error: Exception, at: Address | None = None) -> str | None:
    """Why the server or we refuse this connection for good, and what to do; else None.

    None means that waiting may help: nobody answers, or the connection was lost. Given the
    address, it also looks whether a port that hangs up speaks TLS.
    """
    if isinstance(error, redis.RedisError):
        return _by_server(error) or _by_tls(error) or _tls_expected(error, at)
    return None


def _by_server(error: redis.RedisError) -> str | None:
    """The server's words are shown only where they cannot repeat what was sent."""
    said = str(error)
    if isinstance(error, redis.AuthenticationError):
        return _by_login(said)
    if isinstance(error, redis.exceptions.NoPermissionError):
        return f"not permitted by Redis ({said}); give the user the rights in docs/operations.md"
    if isinstance(error, redis.ResponseError) and re.search("unknown command.*AUTH", said):
        return "the server does not know AUTH; is it a Redis?"
    protected = f"the server is in protected mode; give it a password, and {_PASSWORD}"
    return protected if said.startswith("DENIED") else None


def _by_login(said: str) -> str:
    if "required" in said.lower():
        return f"a password is needed; {_PASSWORD}"
    if "without any password" in said:
        return "a password is given, but the server has none; set requirepass there"
    return f"wrong user or password; {_PASSWORD}, and OPENRS_REDIS_USERNAME for an ACL user"


def _by_tls(error: BaseException) -> str | None:
    fault = _cause(error, ssl.SSLError)
    if isinstance(fault, ssl.SSLCertVerificationError):
        reason = f"({fault.verify_message.rstrip('.')})"
        if fault.verify_code in _NOT_THIS_NAME:
            return f"the certificate is not for this host {reason}; use a name that it holds"
        return f"the certificate is not trusted {reason}; name its CA's file in OPENRS_REDIS_CA"
    if fault and _FATAL_TLS.search(str(fault)):
        return (
            f"TLS failed ({_plainly(fault)}); does the port speak TLS, and does it want a "
            "certificate of ours (OPENRS_REDIS_CERT, OPENRS_REDIS_KEY)?"
        )
    return None


def _tls_expected(error: redis.RedisError, at: Address | None) -> str | None:
    """A TLS port hangs up on whoever speaks plainly; so does a server that ends."""
    hung_up = _cause(error, ConnectionError) or "closed by server" in str(error)
    if at is None or not at.shown.startswith("redis://") or not hung_up:
        return None
    parts = urlsplit(at.shown)
    if not _speaks_tls(parts.hostname or "localhost", parts.port or 6379):
        return None
    return "the port speaks TLS; write rediss:// (and OPENRS_REDIS_CA for a CA of your own)"


def _speaks_tls(host: str, port: int) -> bool:
    trusts_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        with socket.create_connection((host, port), PROBE_SECONDS) as plain:
            trusts_nobody.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError:  # there was a certificate: that is the answer
        return True
    except OSError:
        return False
    return True


def _cause(error: BaseException | None, kind: type[Any]) -> Any:
    """The error of this kind that another one was raised for, or None."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _plainly(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return re.sub(r"^\[.*?\] | \(_ssl.*$", "", str(error))
    return error.strerror or type(error).__name__
