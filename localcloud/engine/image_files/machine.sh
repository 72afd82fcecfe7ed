#!/bin/sh
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
# Turns an unpacked Debian into a VM. Called as `machine.sh ROOT` (ROOT is / inside a Dockerfile build).
# The files of this directory are in ROOT/mlflow-localcloud-build.
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

# Some programs have their own list of CAs. Make them use the system's list: in units, in sessions, under sudo.
bundle=/etc/ssl/certs/ca-certificates.crt
mkdir -p "$root/etc/systemd/system.conf.d"
cat >"$root/etc/systemd/system.conf.d/mlflow-localcloud.conf" <<CONF
[Manager]
DefaultEnvironment=SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle PIP_CERT=$bundle
CONF
printf '%s\n' "SSL_CERT_FILE=$bundle" "REQUESTS_CA_BUNDLE=$bundle" "PIP_CERT=$bundle" >>"$root/etc/environment"
printf 'Defaults env_file=/etc/environment\n' >"$root/etc/sudoers.d/mlflow-localcloud"
chmod 0440 "$root/etc/sudoers.d/mlflow-localcloud"

# As on Google's images, only keys are accepted.
printf 'PermitRootLogin no\nPasswordAuthentication no\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/50-cloud.conf"
printf 'Acquire::Retries "3";\n' >"$root/etc/apt/apt.conf.d/80mlflow-localcloud"

# Runs at every boot, before sshd and the guest agent.
install -m 0755 "$build/boot.sh" "$root/usr/local/sbin/mlflow-localcloud-boot"
install -m 0644 "$build/boot.service" "$root/etc/systemd/system/mlflow-localcloud-boot.service"
run systemctl enable --quiet mlflow-localcloud-boot.service

# Google's guest agent. Docker manages the network, the host manages the clock. Only VMs of the local cloud have the
# marker file; containers of Molecule have no metadata server and do not start the agent.
sed -i -e 's/^clock_skew_daemon = .*/clock_skew_daemon = false/' -e 's/^network_daemon = .*/network_daemon = false/' \
  -e 's/^set_boto_config = .*/set_boto_config = false/' -e 's/^setup = .*/setup = false/' \
  "$root/etc/default/instance_configs.cfg"
for unit in google-guest-agent google-startup-scripts google-shutdown-scripts; do
  mkdir -p "$root/etc/systemd/system/$unit.service.d"
  printf '[Unit]\nConditionPathExists=/etc/mlflow-localcloud/machine\n' \
    >"$root/etc/systemd/system/$unit.service.d/mlflow-localcloud.conf"
done

# Units that do not work in a container.
run systemctl mask --quiet getty.target console-getty.service systemd-logind.service systemd-udevd.service \
  systemd-udev-trigger.service systemd-modules-load.service e2scrub_reap.service e2scrub_all.timer fstrim.timer
# Each VM creates its identity on its first boot.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
: >"$root/etc/machine-id"
rm -rf "$build" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log "$root"/var/log/apt
