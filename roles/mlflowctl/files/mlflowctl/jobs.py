# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The jobs, and the command that starts them. Each returns its document and exit code.

A job imports its module here, because only a release has the packages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from . import credentials, database_uri, job_unit, settings
from .errors import ExitCode, FailedError
from .system import Paths

Answer = tuple[Any, int]


def run_job(options: argparse.Namespace) -> Answer:
    """Run a job in a unit of its own. The job prints its document itself."""
    words, paths = [word for word in options.words if word != "--"], Paths()
    if options.after_cutover:
        link = paths.link
        if words[:2] != ["stored-secrets", "reencrypt"]:
            raise FailedError("--after-cutover is for the job stored-secrets reencrypt", ExitCode.USAGE)
        if not link.is_symlink():
            raise FailedError(f"MLflow is not active: the link {link} does not exist. Run site.yml")
        words += ["--cutover-from", str(link.readlink())]
    wait = not options.after_cutover
    line = job_unit.command_line(words, paths=paths, release=options.release, seconds=options.timeout, wait=wait)
    code = job_unit.run(line)
    return None if wait or code else {"changed": True}, code


@contextlib.contextmanager
def _databases(options: argparse.Namespace) -> Iterator[database_uri.Databases]:
    """Yield the databases of the credentials, with the changes of the command line."""
    auth = options.auth_database or settings.auth_database(Paths())
    application = options.application_database or settings.application_database(Paths())
    with tempfile.NamedTemporaryFile("w", suffix=".pem", dir=os.environ.get("RUNTIME_DIRECTORY")) as ca:
        ca.write(options.database_ca)
        ca.flush()
        ca_file = ca.name if options.database_ca else ""
        login = database_uri.Login(options.database_host, options.database_user, options.session_options, ca_file)
        yield database_uri.read(credentials.directory(), auth, login, application_database=application)


def schema(options: argparse.Namespace) -> Answer:
    """Run a command on the schema of the databases."""
    from .schema import exchange, numbers, revisions
    from .schema.server import Server

    action = options.action
    with _databases(options) as databases:
        reading = {"heads": revisions.heads, "size": numbers.size, "counts": numbers.counts}
        if action in reading:
            return reading[action](databases), ExitCode.DONE
        server = Server(databases, patience=options.patience, take_over=action == "restore")
        with contextlib.closing(server):
            if action == "copy":
                return exchange.copy(server, options.id), ExitCode.DONE
            if action == "restore":
                return exchange.restore(server, options.id, keep_failed=options.keep_failed), ExitCode.DONE
            if action == "forget":
                return exchange.forget(server), ExitCode.DONE
            return revisions.migrate(databases, options.lock_timeout, server.locked), ExitCode.DONE


def count_rows(options: argparse.Namespace) -> Answer:
    """Count the rows of every table."""
    from . import rows

    expected = json.loads(options.expected) if options.expected else None
    with _databases(options) as databases:
        return rows.count(databases, checksums=not options.no_checksums, expected=expected), ExitCode.DONE


def stored_secrets(options: argparse.Namespace) -> Answer:
    """Check or re-encrypt the secrets in the database."""
    from . import stored_secrets as rows

    chosen: dict[str, Any] = {"change": options.action == "reencrypt"}
    if options.action == "reencrypt":
        chosen |= {"disable": options.disable_unreadable_webhooks, "cutover_from": options.cutover_from}
        chosen |= {"timeout": options.timeout}
    with _databases(options) as databases:
        keys = rows.read_keys(credentials.directory())
        return rows.check_or_reencrypt(databases, keys, **chosen), ExitCode.DONE


def rotate(options: argparse.Namespace) -> Answer:
    """Run a command of a rotation."""
    from . import rotation

    action = options.action
    with _databases(options) as databases:
        if action == "prepare":
            chosen = {"owner": options.owner, "patience": options.patience, "dry_run": options.dry_run}
            return rotation.prepare(databases, user=options.user, **chosen), ExitCode.DONE
        if action == "sessions":
            return rotation.sessions(databases, user=options.user), ExitCode.DONE
        if action == "end-sessions":
            return rotation.end_sessions(databases, user=options.user, patience=options.patience), ExitCode.DONE
        password = credentials.read(credentials.directory(), credentials.ADMIN_PASSWORD)
        username = settings.server_settings(Paths()).get("admin_username", "admin")
        return rotation.administrator(databases, password, username=username), ExitCode.DONE


def gc(options: argparse.Namespace) -> Answer:
    """Purge deleted items."""
    from .gc import command
    from .gc.report import Options

    names = ("run_ids", "experiment_ids", "model_ids")
    chosen = Options(
        older_than=options.older_than,
        jobs=options.jobs,
        check=options.check,
        **{name: tuple(getattr(options, name)) for name in names},
    )
    return command.run(chosen, Paths())
