# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Authentication of callers: access tokens, ID tokens and keys of service accounts.

Opaque access tokens are stored by hash. ID tokens are RS256 JWTs, signed with a key of the local cloud; the
certificates are served at the paths that Google uses. As at Google, a JWT that a service account signed is accepted as
a bearer token, too.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import functools
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import RSAAlgorithm

from localcloud.core.certificates import Issuer, certificate_pem, issue, private_pem
from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError, error_info
from localcloud.core.profile import Profiles
from localcloud.core.store import AlreadyExists, Store

Json = dict[str, Any]
ISSUER = "https://accounts.google.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_LIFETIME = 3600
_ALGORITHM = "RS256"
# Times are compared with the local cloud's clock, below. The audience is any endpoint at which Google issues tokens.
_OPTIONS: jwt.types.Options = {
    "require": ["iat", "exp"], "verify_iat": False, "verify_exp": False, "verify_nbf": False, "verify_aud": False,
}  # fmt: skip


@dataclass(frozen=True)
class Principal:
    """A caller: its email (empty for an anonymous caller) and the scopes of its token."""

    email: str
    scopes: frozenset[str] = frozenset()

    @property
    def member(self) -> str:
        """Return the caller's name in an IAM binding."""
        if not self.email:
            return "allUsers"
        return f"{'user' if self.is_user else 'serviceAccount'}:{self.email}"

    @property
    def is_user(self) -> bool:
        """Return whether the caller is a user, who belongs to no project."""
        return bool(self.email) and not self.email.endswith(".gserviceaccount.com")


ANONYMOUS = Principal("")


@dataclass(frozen=True)
class AccessToken:
    """An opaque bearer token and its lifetime in seconds."""

    token: str
    expires_in: int


class Keys:
    """RSA keys of service accounts (`iam.keys`, key `EMAIL/KEY_ID`) and of the local cloud itself (`auth.keys`)."""

    def __init__(self, store: Store) -> None:
        self._service_accounts = store.collection("iam.keys")
        self._own = store.collection("auth.keys")

    def public_key(self, email: str, key_id: str) -> rsa.RSAPublicKey | None:
        """Return the public key of a service account's key, if the key exists and is enabled."""
        managed = self._own.get(_account_key(email))
        if managed is not None and managed["id"] == key_id:
            return self.of_account(email)[1].public_key()
        document = self._service_accounts.get(f"{email}/{key_id}")
        if document is None or document.get("disabled"):
            return None
        return cast(rsa.RSAPublicKey, serialization.load_pem_public_key(document["publicKey"].encode()))

    def public_keys(self, email: str) -> list[rsa.RSAPublicKey]:
        """Return the public keys of all enabled keys of a service account."""
        ids = [key.split("/", 1)[1] for key, _ in self._service_accounts.items(f"{email}/")]
        managed = self._own.get(_account_key(email))
        ids += [managed["id"]] if managed else []
        return [key for key in (self.public_key(email, i) for i in ids) if key is not None]

    def of_account(self, email: str) -> tuple[str, rsa.RSAPrivateKey, str]:
        """Return the Google-managed key of a service account, which signBlob and signJwt use."""
        return self.signing(_account_key(email))

    def signing(self, name: str) -> tuple[str, rsa.RSAPrivateKey, str]:
        """Return (key id, private key, certificate PEM) of a Google-managed key. Creates the key on first use."""
        document = self._own.get(name)
        if document is None:
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            certificate = self_signed_certificate(private, name)
            document = {
                "id": secrets.token_hex(20),
                "private": private_pem(private),
                "certificate": certificate,
            }
            try:
                self._own.insert(name, document)
            except AlreadyExists:  # another thread created the key first: use that key
                return self.signing(name)
        return document["id"], _private_key(document["private"]), document["certificate"]


@functools.cache
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Return the key. Reading a key takes longer than a signature, because its primes are checked."""
    return cast(rsa.RSAPrivateKey, serialization.load_pem_private_key(pem.encode(), None))


class Auth:
    """Issues and verifies tokens."""

    def __init__(self, store: Store, clock: Clock, profiles: Profiles) -> None:
        self._store = store
        self._tokens = store.collection("auth.tokens")
        self._accounts = store.collection("iam.serviceAccounts")
        self._clock = clock
        self._profiles = profiles
        self.keys = Keys(store)

    # -- issuing

    def issue_access_token(
        self, email: str, scopes: list[str], lifetime: int = TOKEN_LIFETIME, *, client_id: str | None = None
    ) -> AccessToken:
        """Return a new opaque access token for an account or a user; `lifetime` in seconds. It survives restarts.

        `client_id` is the OAuth client that gets a user's token.
        """
        token = "ya29.local." + secrets.token_urlsafe(48)
        now = self._clock.time()
        with self._store.transaction():
            for key, old in self._tokens.items():
                if old["expires"] < now:
                    self._tokens.delete(key)
            document = {"email": email, "scopes": scopes, "expires": now + lifetime, "client_id": client_id}
            self._tokens.put(digest(token), document)
        return AccessToken(token, lifetime)

    def revoke_access_tokens(self, email: str, client_id: str | None = None) -> None:
        """Revoke the access tokens of a user, of one OAuth client or of all."""
        with self._store.transaction():
            for key, document in self._tokens.items():
                if document["email"] == email and client_id in (None, document.get("client_id")):
                    self._tokens.delete(key)

    def issue_id_token(
        self, email: str, audience: str, *, include_email: bool = True, extra: Json | None = None
    ) -> str:
        """Return an RS256 ID token of a service account for an audience.

        `extra` claims are added, such as the metadata server's `google`.
        """
        account = self._accounts.get(email) or {}
        number = account.get("uniqueId", email)
        claims: Json = {"aud": audience, "azp": number, "sub": number}
        if include_email:
            claims |= {"email": email, "email_verified": True}
        return self._sign_id_token(claims | (extra or {}), account.get("projectId"))

    def issue_id_token_of_user(
        self, claims: Json, client_id: str, access_token: str, *, nonce: str | None = None
    ) -> str:
        """Return an RS256 ID token of a user for an OAuth client, with the hash of the access token beside it."""
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        own: Json = {"azp": client_id, "aud": client_id, "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("=")}
        own |= {"nonce": nonce} if nonce else {}
        return self._sign_id_token(claims | own, None)

    def _sign_id_token(self, claims: Json, project: str | None) -> str:
        now = int(self._clock.time())
        lifetime = int(self._profiles.of(project).id_token)
        key_id, key, _ = self.keys.signing("oauth2")
        return encode_jwt({"iss": ISSUER, **claims, "iat": now, "exp": now + lifetime}, key, key_id)

    # -- checking

    def describe(self, token: str) -> Json | None:
        """Return `email`, `scopes`, `expires` and `client_id` of an access token; None if it is unknown or expired."""
        document = self._tokens.get(digest(token))
        if document is None or document["expires"] < self._clock.time():
            return None
        account = self._accounts.get(document["email"])
        if not Principal(document["email"]).is_user and (account is None or account.get("disabled")):
            return None
        return document

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the principal of an `Authorization` header. Raises 401 with Google's message."""
        if not authorization:
            raise unauthenticated("CREDENTIALS_MISSING")
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("CREDENTIALS_MISSING")
        if token.count(".") == 2 and not token.startswith("ya29."):
            return self._self_signed(token)
        document = self.describe(token)
        if document is None:
            raise unauthenticated("ACCESS_TOKEN_INVALID")
        return Principal(document["email"], frozenset(document["scopes"]))

    def verify_assertion(self, assertion: str) -> Json:
        """Return the claims of a JWT signed with a service account's key. Raises ValueError with the reason."""
        try:
            key_id = jwt.get_unverified_header(assertion).get("kid")
            email = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
        except jwt.InvalidTokenError as error:
            raise ValueError(f"Invalid JWT: {error}") from error
        account = self._accounts.get(str(email))
        if account is None or account.get("disabled"):
            raise ValueError("Invalid grant: account not found")
        key = self.keys.public_key(str(email), key_id) if key_id else None
        claims = _verified(assertion, [key] if key_id else self.keys.public_keys(str(email)))
        now = self._clock.time()
        issued, expires = claims["iat"], claims["exp"]
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise ValueError("Invalid JWT: iat and exp are required")
        if expires < now or issued > now + 300 or expires - issued > 3600 + 300:
            raise ValueError(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
        return claims

    def _self_signed(self, token: str) -> Principal:
        try:
            claims = self.verify_assertion(token)
        except ValueError as error:
            raise unauthenticated("ACCESS_TOKEN_INVALID") from error
        scopes = str(claims.get("scope", "")).split()
        # A token with an audience instead of scopes is valid for every method of that API.
        if not scopes and not claims.get("aud"):
            raise unauthenticated("ACCESS_TOKEN_INVALID")
        return Principal(str(claims["iss"]), frozenset(scopes or [CLOUD_PLATFORM]))


def unauthenticated(reason: str) -> ApiError:
    """Return a 401 with Google's message."""
    if reason == "CREDENTIALS_MISSING":
        message = (
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        )
    else:
        message = (
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        )
    challenge = 'Bearer realm="https://accounts.google.com/"'
    if reason != "CREDENTIALS_MISSING":
        challenge += ', error="invalid_token"'
    return ApiError(401, None, message, [error_info(reason, "googleapis.com")], headers={"WWW-Authenticate": challenge})


def encode_jwt(claims: Json, key: rsa.RSAPrivateKey, key_id: str) -> str:
    """Return a compact RS256 JWT."""
    return jwt.encode(claims, key, _ALGORITHM, {"kid": key_id})


def _verified(token: str, keys: Iterable[rsa.RSAPublicKey | None]) -> Json:
    """Return the claims of a JWT that one of the keys signed. Raises ValueError with Google's message."""
    for key in keys:
        if key is None:
            continue
        try:
            return jwt.decode(token, key, [_ALGORITHM], options=_OPTIONS)
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidAlgorithmError as error:
            raise ValueError(f"Invalid JWT: alg must be {_ALGORITHM}") from error
        except jwt.MissingRequiredClaimError as error:
            raise ValueError("Invalid JWT: iat and exp are required") from error
        except jwt.InvalidTokenError as error:
            raise ValueError(f"Invalid JWT: {error}") from error
    raise ValueError("Invalid JWT Signature.")


def sign(key: rsa.RSAPrivateKey, data: bytes) -> bytes:
    """Return an RSASSA-PKCS1-v1_5 signature with SHA-256."""
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def signed_by(keys: Iterable[rsa.RSAPublicKey], signature: bytes, data: bytes) -> bool:
    """Return whether one of the keys made the signature of `sign`."""
    for key in keys:
        with contextlib.suppress(InvalidSignature):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            return True
    return False


def self_signed_certificate(key: rsa.RSAPrivateKey, name: str) -> str:
    """Return a self-signed certificate (PEM) for a key, as Google publishes its signing keys."""
    issuer = Issuer(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]), key)
    now = datetime.datetime.now(datetime.UTC)
    begin, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=3650)
    return certificate_pem(issue(issuer.name, key.public_key(), issuer, begin, end))


def jwk(key: rsa.RSAPublicKey, key_id: str) -> Json:
    """Return a key as a JSON Web Key."""
    numbers = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {"use": "sig", "alg": _ALGORITHM, "kid": key_id, **{name: numbers[name] for name in ("kty", "n", "e")}}


def _account_key(email: str) -> str:
    return f"serviceAccount:{email}"


def digest(token: str) -> str:
    """Return the key under which a secret token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()
