#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# PID 1 of a database container. Creates the database cluster on first start, then runs the server.
set -eu
data=/var/lib/postgresql/data
config=/etc/mlflow-localcloud
bin=$(echo /usr/lib/postgresql/*/bin)

mkdir -p "$data" /run/postgresql /backups
chown postgres:postgres "$data" /run/postgresql /backups
chmod 0700 "$data" /backups
chown postgres:postgres "$config"/server.key
chmod 0600 "$config"/server.key

if [ ! -e "$data/PG_VERSION" ]; then
  find "$data" -mindepth 1 -delete
  setpriv --reuid=postgres --regid=postgres --init-groups "$bin/initdb" --pgdata="$data" --username=cloudsqladmin \
    --encoding=UTF8 --locale=C.UTF-8 --auth=peer >/dev/null
  # The roles of every Cloud SQL instance. Users are members of cloudsqlsuperuser, which is not a superuser.
  printf '%s\n' 'CREATE ROLE cloudsqlsuperuser NOLOGIN CREATEDB CREATEROLE;' \
    'CREATE ROLE postgres LOGIN CREATEDB CREATEROLE IN ROLE cloudsqlsuperuser;' \
    'ALTER DATABASE postgres OWNER TO cloudsqlsuperuser;' \
    'GRANT pg_monitor, pg_signal_backend TO cloudsqlsuperuser;' |
    setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" --single -j -D "$data" postgres >/dev/null
fi

exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$data" \
  -c config_file="$config/postgresql.conf" -c hba_file="$config/pg_hba.conf" -c ident_file="$config/pg_ident.conf"
