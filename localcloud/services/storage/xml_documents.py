# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Documents of the XML API: errors, answers and the body of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from starlette.responses import Response

from localcloud.core.errors import ApiError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_MEDIA_TYPE = "application/xml; charset=UTF-8"
_HEAD = "<?xml version='1.0' encoding='UTF-8'?>"
# Code and message of errors that the JSON API raises, too. The JSON API's message becomes the details.
_ERRORS = {
    400: ("InvalidArgument", "Invalid argument."),
    401: ("AuthenticationRequired", "Authentication required."),
    403: ("AccessDenied", "Access denied."),
    404: ("NoSuchKey", "The specified key does not exist."),
    405: ("MethodNotAllowed", "The specified method is not allowed against this resource."),
    409: ("InvalidRequest", "The request conflicts with the state of the resource."),
    412: ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold."),
    416: ("InvalidRange", "The requested range cannot be satisfied."),
    429: ("SlowDown", "The request rate is too high."),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    501: ("NotImplemented", "A header or query you provided requested a function that is not implemented."),
    503: ("ServiceUnavailable", "Service unavailable. Please try again."),
}

# The children of an element, in order: text, or elements.
Children = Iterable[tuple[str, "str | Children"]]


class XmlError(ApiError):
    """A refusal with its code and message in the XML API. The fields are more elements of the answer."""

    def __init__(self, code: int, name: str, message: str, details: str = "", **fields: str) -> None:
        super().__init__(code, name, message)
        self.fields = {"Code": name, "Message": message} | ({"Details": details} if details else {}) | fields


def refusal(error: ApiError) -> Response:
    """Return the answer to a refused request."""
    if isinstance(error, XmlError):
        fields = error.fields
    else:
        name, message = _ERRORS.get(error.code, _ERRORS[500])
        if error.message.startswith("The specified bucket"):
            name, message = "NoSuchBucket", "The specified bucket does not exist."
        fields = {"Code": name, "Message": message, "Details": error.message}
    content = _HEAD + ElementTree.tostring(_element("Error", fields.items()), encoding="unicode")
    return Response(content, status_code=error.code, headers=error.headers, media_type=_MEDIA_TYPE)


def answer(name: str, children: Children) -> Response:
    """Return an answer with one element in the namespace of Amazon S3, which the documents of uploads have."""
    element = _element(name, children)
    element.set("xmlns", NAMESPACE)
    return Response(_HEAD + ElementTree.tostring(element, encoding="unicode"), media_type=_MEDIA_TYPE)


def _element(name: str, children: Children) -> ElementTree.Element:
    element = ElementTree.Element(name)
    for child, value in children:
        if isinstance(value, str):
            # XML 1.0 cannot express control characters, which names of objects may contain.
            ElementTree.SubElement(element, child).text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "�", value)
        else:
            element.append(_element(child, value))
    return element


def parsed(body: bytes) -> ElementTree.Element:
    """Return the root of a document, with names without namespaces. Refuses document types, and so all entities."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, _: builder.start(name.rpartition("}")[2], {})
    parser.EndElementHandler = lambda name: builder.end(name.rpartition("}")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise _malformed(str(error)) from error
    return builder.close()


def _refuse_doctype(*_: object) -> NoReturn:
    raise _malformed("A document type is not allowed.")


def _malformed(details: str) -> XmlError:
    message = "The XML you provided was not well-formed or did not validate against our published schema."
    return XmlError(400, "MalformedXML", message, details)
