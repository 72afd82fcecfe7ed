# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Service accounts and their keys, as used by IAM's methods, the bootstrap and other services."""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.access.auth import self_signed_certificate
from localcloud.access.permissions import Permissions, account_resource
from localcloud.core.certificates import private_pem, public_pem
from localcloud.core.clock import Clock
from localcloud.core.propagation import Propagation
from localcloud.core.store import Store

Json = dict[str, Any]


def _deleted_member(document: Json) -> str:
    return f"deleted:serviceAccount:{document['email']}?uid={document['uniqueId']}"


class ServiceAccounts:
    """Service accounts (`iam.serviceAccounts`, by email) and keys (`iam.keys`, by `EMAIL/KEY_ID`)."""

    def __init__(self, store: Store, permissions: Permissions, clock: Clock, propagation: Propagation) -> None:
        self._store = store
        self.documents = store.collection("iam.serviceAccounts")
        self.deleted = store.collection("iam.deletedServiceAccounts")
        self.key_documents = store.collection("iam.keys")
        self._permissions = permissions
        self._clock = clock
        self._propagation = propagation

    def get(self, email_or_id: str) -> Json | None:
        """Return the account with this email or unique number, as IAM shows it; None if there is none."""
        found = self.documents.get(email_or_id)
        if found is None and email_or_id.isdigit():
            found = next((d for d in self.documents.list() if d["uniqueId"] == email_or_id), None)
        return found

    def create(self, project: str, account_id: str, fields: Json, *, domain: str | None = None) -> Json:
        """Create an account. Raises store.AlreadyExists.

        `domain` is for Google's own accounts (`developer.gserviceaccount.com`).
        """
        email = f"{account_id}@{domain or project + '.iam.gserviceaccount.com'}"
        number = "1" + "".join(secrets.choice("0123456789") for _ in range(20))
        document: Json = {
            "name": f"projects/{project}/serviceAccounts/{email}",
            "projectId": project,
            "uniqueId": number,
            "email": email,
            "oauth2ClientId": number,
            "etag": secrets.token_urlsafe(9),
            **{k: v for k, v in fields.items() if k in ("displayName", "description") and v},
        }
        self.documents.insert(email, document)
        if domain is None:
            self._propagation.begin("service_accounts", email, project)
        return document

    def visible(self, email: str) -> bool:
        """Return whether the account exists and other services know it already."""
        return self.documents.get(email) is not None and not self._propagation.pending("service_accounts", email)

    def delete(self, email: str) -> None:
        """Delete an account with its keys and policy. It can be undeleted by its number."""
        with self._store.transaction():
            document = self.documents.get(email)
            if document is None:
                raise KeyError(email)
            self.deleted.put(document["uniqueId"], document)
            self.documents.delete(email)
            self._permissions.forget(account_resource(document["projectId"], email))
            # A new account with this name is another identity: policies keep the deleted member.
            self._permissions.rename(f"serviceAccount:{email}", _deleted_member(document))
            for key, _ in self.key_documents.items(f"{email}/"):
                self.key_documents.delete(key)

    def undelete(self, unique_id: str) -> Json:
        """Restore a deleted account. Raises KeyError, or store.AlreadyExists if its email was reused meanwhile."""
        with self._store.transaction():
            document = self.deleted.get(unique_id)
            if document is None:
                raise KeyError(unique_id)
            self.documents.insert(document["email"], document)
            self.deleted.delete(unique_id)
            self._permissions.rename(_deleted_member(document), f"serviceAccount:{document['email']}")
        return document

    def create_key(self, email: str, token_uri: str) -> tuple[Json, Json]:
        """Return (key file, key document) of a new RSA key. Only the file contains the private key."""
        account = self.documents.get(email)
        if account is None:
            raise KeyError(email)
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_id = secrets.token_hex(20)
        document: Json = {
            "id": key_id,
            "name": f"{account['name']}/keys/{key_id}",
            "publicKey": public_pem(private.public_key()),
            "certificate": self_signed_certificate(private, email),
            "validAfterTime": self._clock.now()[:19] + "Z",
        }
        self.key_documents.insert(f"{email}/{key_id}", document)
        key_file: Json = {
            "type": "service_account",
            "project_id": account["projectId"],
            "private_key_id": key_id,
            "private_key": private_pem(private),
            "client_email": email,
            "client_id": account["uniqueId"],
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email.replace('@', '%40')}",
            "universe_domain": "googleapis.com",
        }
        return key_file, document
