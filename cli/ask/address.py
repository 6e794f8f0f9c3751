"""Whom to ask, with which key."""

from urllib.parse import urlsplit

from cli.ask.errors import AskError
from cli.embedded.home import Home
from shared.settings import Settings


def address(base_url: str, key: str, *, key_is_typed: bool) -> tuple[str, str]:
    """The given ones; or those of `treadle up`. A key of the environment is for the address of the
    environment: it is not sent to another one, and neither is that of `treadle up`."""
    home = Settings.from_env().home
    known = Home(home).client_settings()
    known_url, known_key = known.get("OPENAI_BASE_URL", ""), known.get("OPENAI_API_KEY", "")
    if not base_url:
        if not known_url:
            raise AskError(
                "Say whom to ask, with --base-url or OPENAI_BASE_URL: no `treadle up` has left its "
                f"address in {home / 'client.env'}."
            )
        base_url, key = known_url, key if key_is_typed and key else known_key
    elif not key and base_url == known_url:
        key = known_key
    if not key:
        raise AskError(f"Give the key for {base_url} with --key or OPENAI_API_KEY.")
    return _checked_url(base_url), _checked_key(key.strip())


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise AskError(f"{url!r} is no address that begins with http:// or https://.")
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise AskError("The key has characters that no key can have.")
    return key
