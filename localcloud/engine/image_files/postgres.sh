#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# Turns an unpacked Debian with PostgreSQL into a database server. Called as `postgres.sh ROOT`.
set -eu
root=$1
build=$root/mlflow-localcloud-build
install -m 0755 "$build/postgres-entry.sh" "$root/usr/local/sbin/mlflow-localcloud-postgres"
rm -rf "$build" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/lib/postgresql/*/main
mkdir -p "$root/etc/mlflow-localcloud"
