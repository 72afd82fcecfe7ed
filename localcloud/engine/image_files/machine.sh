#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# Makes a virtual machine of an unpacked Debian. Called as `machine.sh ROOT` (ROOT is / inside a Dockerfile build);
# the files of this directory lie in ROOT/mlflow-localcloud-build.
set -eu
root=$1
build=$root/mlflow-localcloud-build
run() { if [ "$root" = / ]; then "$@"; else chroot "$root" "$@"; fi; }

# The host's extra certificate authorities.
mkdir -p "$root/usr/local/share/ca-certificates"
for certificate in "$build"/ca/*.crt; do
  if [ -e "$certificate" ]; then cp "$certificate" "$root/usr/local/share/ca-certificates/"; fi
done
run update-ca-certificates >/dev/null 2>&1

# Programs that carry their own list of authorities are pointed at the system's: in units, in sessions, under sudo.
bundle=/etc/ssl/certs/ca-certificates.crt
mkdir -p "$root/etc/systemd/system.conf.d"
cat >"$root/etc/systemd/system.conf.d/mlflow-localcloud.conf" <<CONF
[Manager]
DefaultEnvironment=SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle PIP_CERT=$bundle
CONF
printf '%s\n' "SSL_CERT_FILE=$bundle" "REQUESTS_CA_BUNDLE=$bundle" "PIP_CERT=$bundle" >>"$root/etc/environment"
printf 'Defaults env_file=/etc/environment\n' >"$root/etc/sudoers.d/mlflow-localcloud"
chmod 0440 "$root/etc/sudoers.d/mlflow-localcloud"

# As on Google's own images: keys only.
printf 'PermitRootLogin no\nPasswordAuthentication no\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/50-cloud.conf"
printf 'Acquire::Retries "3";\n' >"$root/etc/apt/apt.conf.d/80mlflow-localcloud"

# The first steps of every boot, before sshd and the guest agent.
install -m 0755 "$build/boot.sh" "$root/usr/local/sbin/mlflow-localcloud-boot"
install -m 0644 "$build/boot.service" "$root/etc/systemd/system/mlflow-localcloud-boot.service"
run systemctl enable --quiet mlflow-localcloud-boot.service

# Google's agent, without what is Docker's business (the network) or the host's (the clock). It does not run where there
# is no metadata server (a container started by hand or by Molecule): machines of the cloud carry a marker.
sed -i -e 's/^clock_skew_daemon = .*/clock_skew_daemon = false/' -e 's/^network_daemon = .*/network_daemon = false/' \
  -e 's/^set_boto_config = .*/set_boto_config = false/' -e 's/^setup = .*/setup = false/' \
  "$root/etc/default/instance_configs.cfg"
for unit in google-guest-agent google-startup-scripts google-shutdown-scripts; do
  mkdir -p "$root/etc/systemd/system/$unit.service.d"
  printf '[Unit]\nConditionPathExists=/etc/mlflow-localcloud/machine\n' \
    >"$root/etc/systemd/system/$unit.service.d/mlflow-localcloud.conf"
done

# What makes no sense in a container.
run systemctl mask --quiet getty.target console-getty.service systemd-logind.service systemd-udevd.service \
  systemd-udev-trigger.service systemd-modules-load.service e2scrub_reap.service e2scrub_all.timer fstrim.timer
# Each machine makes its own identity on its first boot.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
: >"$root/etc/machine-id"
rm -rf "$build" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log "$root"/var/log/apt
