# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud DNS: public managed zones and their record sets. VMs resolve the names.

Differences to Google:

- Nobody checks who owns a domain. VMs resolve the names of a zone without a delegation in its parent zone. Of two zones
  with the same DNS name, they see the older.
- VMs see a change at once, also while its status is `pending`.
- The record types are A, AAAA, CAA, CNAME, MX, NS, SOA and TXT.
- A subdomain that NS records delegate is resolved only if it is a managed zone, too.
- In IAM conditions, the name of a record set has the name of its zone. Google's documentation does not say whether it
  is the name or the ID.
- No private zones, DNSSEC, routing policies and response policies.

As at Google, the API changes the serial of an SOA record only with the record: `gcloud dns record-sets transaction`
increments it, single changes do not.
"""
