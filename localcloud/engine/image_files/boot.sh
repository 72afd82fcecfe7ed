#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# First steps of every boot of a machine of the local cloud.
set -eu

# Docker's own resolver sits behind packet filter rules inside the machine, which the machine's owner may flush:
# speak to the cloud's name server directly. The file is a bind mount, so it is rewritten in place.
if grep -q '^nameserver 127\.0\.0\.11' /etc/resolv.conf && [ -e /etc/mlflow-localcloud/machine ]; then
  search=$(grep '^search' /etc/resolv.conf || true)
  printf '%s\nnameserver 169.254.169.254\n' "$search" >/etc/resolv.conf
fi

# Authorities that came after the image was built.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -n "$(find /usr/local/share/ca-certificates -name '*.crt' -newer "$bundle" | head -n 1)" ]; then
  update-ca-certificates >/dev/null 2>&1
  touch "$bundle"
fi

# Google's guest agent lays credentials for the metadata server here, which this local cloud's server does not speak.
if [ -e /etc/mlflow-localcloud/machine ]; then
  mkdir -p -m 0755 /run/google-mds-mtls
  for file in root.crt client.key; do
    printf 'no certificate\n' >"/run/google-mds-mtls/$file"
    chmod 0644 "/run/google-mds-mtls/$file"
  done
fi

# A host key of its own; a guest agent that finds a new instance makes them anew.
if ! ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1; then
  ssh-keygen -A >/dev/null
fi
