#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# Runs at every boot of a VM of the local cloud.
set -eu

# Docker's resolver needs packet filter rules inside the VM, which the VM's owner may flush. Use the cloud's name server
# directly. The file is a bind mount, so it is rewritten in place.
if grep -q '^nameserver 127\.0\.0\.11' /etc/resolv.conf && [ -e /etc/mlflow-localcloud/machine ]; then
  search=$(grep '^search' /etc/resolv.conf || true)
  printf '%s\nnameserver 169.254.169.254\n' "$search" >/etc/resolv.conf
fi

# CAs that were added after the image was built.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -n "$(find /usr/local/share/ca-certificates -name '*.crt' -newer "$bundle" | head -n 1)" ]; then
  update-ca-certificates >/dev/null 2>&1
  touch "$bundle"
fi

# On Google, the guest agent writes mTLS credentials here. The local cloud has no mTLS: create placeholders.
if [ -e /etc/mlflow-localcloud/machine ]; then
  mkdir -p -m 0755 /run/google-mds-mtls
  for file in root.crt client.key; do
    printf 'no certificate\n' >"/run/google-mds-mtls/$file"
    chmod 0644 "/run/google-mds-mtls/$file"
  done
fi

# Create host keys. The guest agent replaces them if it finds a new instance.
if ! ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1; then
  ssh-keygen -A >/dev/null
fi
