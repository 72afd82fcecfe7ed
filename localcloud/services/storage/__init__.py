# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage: buckets and their policies, objects with generations, uploads of every kind, batches.

Answered with 501: access control lists (without uniform bucket-level access the default lists apply, see
`api.require`), notifications, folders, HMAC keys. Lifecycle rules are stored and checked. Only
AbortIncompleteMultipartUpload is executed: at the next request about multipart uploads of the bucket.
Deleted buckets are removed at once; deleted objects can be restored within the period of the soft delete policy.

The XML API (`xml_requests`) has objects, multipart and resumable uploads, lists of incomplete multipart uploads, the
bucket's CORS configuration and signed URLs of version 4 with RSA keys. All other requests, and signed URLs that begin
or complete a multipart upload, are answered with 501. Google documents the codes of its errors, but not all texts: the
texts of the refusals of multipart uploads and of RequestTimeTooSkewed are Amazon's.
"""
