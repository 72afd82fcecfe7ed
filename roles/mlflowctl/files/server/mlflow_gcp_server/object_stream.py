# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read and write objects of Cloud Storage as streams, without a temporary file.

Memory is bounded: a reader holds two blocks, an upload four to six chunks. A broken connection is resumed.
"""

from __future__ import annotations

import base64
import io
import mimetypes
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import google_crc32c
import requests
from google.api_core import exceptions
from google.cloud.storage.fileio import BlobWriter
from google.cloud.storage.retry import DEFAULT_RETRY

MIB = 1024 * 1024
READ_BYTES = MIB
WRITE_BYTES = 8 * MIB
"""Size of the requests of an upload. The client library sends an object up to this size in one request."""
RETRY = DEFAULT_RETRY.with_timeout(30)
"""A client of MLflow repeats the request after the error, and waits at most 120 seconds for a response."""
RESUMPTIONS = 5
"""Failed connections in a row until a download fails."""


class ObjectReader:
    """The content of an object. The request is sent at once, so that errors are raised before the first byte."""

    def __init__(self, blob: Any, timeout: Any) -> None:
        client = blob.client
        self._name, self._session, self._timeout = f"gs://{blob.bucket.name}/{blob.name}", client._http, timeout
        path = f"b/{quote(blob.bucket.name, safe='')}/o/{quote(blob.name, safe='')}"
        self._url = f"{client.api_endpoint}/download/storage/v1/{path}"
        self._parameters = {"alt": "media"}
        self._response = self._open(0)
        headers = self._response.headers
        # A retry must not continue with another version of the object.
        if generation := headers.get("X-Goog-Generation"):
            self._parameters["generation"] = generation
        self._encoded = bool(headers.get("Content-Encoding"))
        # Length and checksum are those of the stored bytes. Encoded bytes are decoded here.
        self.size = None if self._encoded else int(headers["Content-Length"])
        self._checksum = "" if self._encoded else _crc32c(headers.get("X-Goog-Hash", ""))

    def _open(self, start: int) -> requests.Response:
        headers = {"Accept-Encoding": "gzip"} | ({"Range": f"bytes={start}-"} if start else {})

        def send() -> requests.Response:
            response: requests.Response = self._session.get(
                self._url, params=self._parameters, headers=headers, stream=True, timeout=self._timeout
            )
            if response.status_code != (requests.codes.partial if start else requests.codes.ok):
                with response:
                    raise exceptions.from_http_response(response)
            return response

        opened: requests.Response = RETRY(send)()
        return opened

    def _blocks(self) -> Iterator[bytes]:
        """Yield the blocks. Resume a broken connection at the position that it reached."""
        position, failures = 0, 0
        while True:
            try:
                with self._response as response:
                    for block in response.iter_content(READ_BYTES):
                        position, failures = position + len(block), 0
                        yield block
                    return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                failures += 1
                if failures > RESUMPTIONS or self._encoded:
                    raise
                time.sleep(0.1 * 2**failures)
            if position == self.size:
                return
            self._response = self._open(position)

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content. Yield the last block only if the checksum is correct, so that a client notices errors."""
        held, checksum, size = b"", google_crc32c.Checksum(), 0
        for block in self._blocks():
            checksum.update(block)
            size += len(block)
            if held:
                yield held
            held = block
        if self.size not in (None, size):
            raise OSError(f"Cannot read {self._name}: Cloud Storage sent {size} of {self.size} bytes.")
        if self._checksum and base64.b64encode(checksum.digest()).decode() != self._checksum:
            raise OSError(f"Cannot read {self._name}: the checksum of the content is wrong.")
        if held:
            yield held


def _crc32c(hashes: str) -> str:
    """Return the CRC32C of the header X-Goog-Hash, empty without it."""
    values = dict(value.strip().partition("=")[::2] for value in hashes.split(","))
    return values.get("crc32c", "")


class _Upload(BlobWriter):  # type: ignore[misc]
    """An upload in a session. Python closes an abandoned file, and `BlobWriter.close` would create half an object."""

    def close(self) -> None:
        """Do nothing. Cloud Storage removes an incomplete upload after a week."""

    def complete(self) -> None:
        """Create the object. Raise ConnectionError unless Cloud Storage has confirmed the whole content."""
        super().close()
        if not self._upload_and_transport[0].finished:
            raise requests.ConnectionError("Cloud Storage has not received the whole content.")


class ObjectWriter:
    """An object that is written in chunks. It exists, or replaces a former object, only after `finish`."""

    def __init__(self, blob: Any, timeout: Any) -> None:
        self._blob = blob
        self._arguments = {"content_type": mimetypes.guess_type(blob.name)[0], "retry": RETRY, "timeout": timeout}
        self._first = b""
        self._upload: _Upload | None = None

    def write(self, chunk: bytes) -> None:
        """Send a chunk. All chunks but the last have at least `WRITE_BYTES`."""
        if self._upload is None and not self._first:
            self._first = chunk
            return
        if self._upload is None:
            self._upload = _Upload(self._blob, chunk_size=WRITE_BYTES, **self._arguments)
            self._upload.write(self._first)
            self._first = b""
        self._upload.write(chunk)

    def finish(self) -> None:
        """Create the object. An object of one chunk takes one request."""
        if self._upload is None:
            self._blob.upload_from_file(io.BytesIO(self._first), size=len(self._first), **self._arguments)
        else:
            self._upload.complete()
