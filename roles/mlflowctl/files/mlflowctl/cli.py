# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of mlflowctl. Each prints one JSON document to standard output, and messages to standard error."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from . import credentials, jobs, operations
from .cutover.slots import NAMES
from .errors import ExitCode, FailedError, one_line
from .job_unit import JOBS
from .system import PYTHON

EXIT_CODES = """exit codes:
  0  done
  1  failed; a failed cutover was rolled back
  2  the command line is not valid
  3  refused, nothing was changed
  4  another cutover is in progress
  5  the time limit was reached, the operation continues
"""
Answer = tuple[Any, int]


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str, **more: Any) -> Any:
    """Add a command; return its parser."""
    parser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **more,
    )
    parser.set_defaults(run=run)
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    """Add a group of commands; return its commands."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return parser.add_subparsers(dest="action", required=True, metavar="COMMAND")


def _add_server(commands: Any) -> None:
    _command(commands, "status", operations.status, "print slots, desired state, cutover in progress and last result")
    ready = _command(commands, "ready", operations.ready, "wait until the server is ready")
    ready.add_argument("--slot", choices=NAMES, default="", help="default: the slot that receives the requests")
    ready.add_argument("--timeout", type=float, help="seconds to keep trying; default: mlflow_start_timeout")
    ready.add_argument("--artifacts", action="store_true", help="also store, read and delete an artifact")
    ready.add_argument("--smoke", action="store_true", help="also log a run with an artifact and remove the run")
    examine = _command(commands, "examine", operations.examine, "print the state of the VM for the doctor")
    examine.add_argument("paths", nargs="*", default=["/"], metavar="PATH", help="measure the disks of these paths")
    text = "build a release from locked requirements, which are read from standard input"
    build = _command(commands, "build", operations.build, text)
    build.add_argument("--python", default=PYTHON, help="Python interpreter for the release")
    build.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    build.add_argument("name", help="name of the directory in /opt/mlflow/releases")
    build.add_argument("version", help="version of MLflow")
    build.add_argument("--pip-argument", action="append", default=[], help="additional argument for pip, with =")
    prune = _command(commands, "prune", operations.prune, "remove old releases that are not needed for a rollback")
    prune.add_argument("--keep", type=int, required=True, help="number of unused releases that stay")
    prune.add_argument("--interrupted", action="store_true", help="also incomplete releases")
    text = "exit with 0 if the server runs and no cutover or backup is in progress, 1 otherwise"
    idle = _command(commands, "idle", operations.idle, text)
    idle.add_argument("--quiet", action="store_true", help="print nothing, for a condition of a unit")
    text = "print the size of the active release and the free disk space, in MiB"
    _command(commands, "disk", operations.disk, text)
    block = _command(commands, "block-purge", operations.block_purge, "stop a running purge and allow no other one")
    block.add_argument("--seconds", type=int, required=True, help="time limit of the block")
    _command(commands, "allow-purge", operations.allow_purge, "allow a purge again")


def _add_units(commands: Any) -> None:
    launch = _command(commands, "launch", operations.launch, "become the server of a slot (called by its unit)")
    launch.add_argument("slot", choices=NAMES)
    slot = _group(commands, "slot", "start the server (called by the units)")
    _command(slot, "start", operations.start_slot, "start the active slot; on a new VM, create the first one")
    text = "send the traffic to a slot that has become ready, if it is the active one"
    _command(slot, "started", operations.slot_started, text).add_argument("slot", choices=NAMES)


def _add_cutover(commands: Any) -> None:
    cutover = _group(commands, "cutover", "move the traffic between the two slots without losing a request")
    text = "start the desired state in the idle slot, move the traffic, stop the old slot"
    reload = _command(cutover, "reload", operations.reload, text)
    reload.add_argument("--needed", action="store_true", help="only if a change is pending")
    text = "the same with migration, smoke test, approval and watch time; returns at once"
    upgrade = _command(cutover, "upgrade", operations.upgrade, text)
    upgrade.add_argument("--release", default="", help="directory of the release; default: the desired release")
    upgrade.add_argument("--approval-timeout", type=float, default=60.0, help="seconds to wait for it; 0: do not wait")
    upgrade.add_argument("--watch", type=float, default=60.0, help="roll back after a crash within these seconds")
    upgrade.add_argument("--timeout", type=float, help="seconds until the databases are migrated; default: no limit")
    upgrade.add_argument("--drain", type=float, help="seconds for in-flight requests; default: mlflow_drain_timeout")
    waiting = _command(cutover, "wait", operations.wait, "wait until the cutover is ready for approval, or done")
    waiting.add_argument("--for", dest="until", choices=["ready", "done"], default="done")
    waiting.add_argument("--id", help="default: the current or the last cutover")
    waiting.add_argument("--timeout", type=float, default=600.0)
    _command(cutover, "approve", operations.approve, "approve the move of the traffic")
    text = "roll back to the release before the last upgrade; restore its databases if the upgrade migrated them"
    rollback = _command(cutover, "rollback", operations.rollback, text)
    rollback.add_argument("--drain", type=float, help="seconds for in-flight requests; default: mlflow_drain_timeout")
    rollback.add_argument("--timeout", type=float, default=1200.0)
    _command(cutover, "run", operations.run_cutover, "perform the requested cutover (called by its unit)")
    text = "complete or undo an interrupted cutover (called by its unit)"
    _command(cutover, "recover", operations.recover, text)


def _add_jobs(commands: Any) -> None:
    run = _command(commands, "run-job", jobs.run_job, "run a job with the credentials of the server")
    run.add_argument("--release", default="", help="directory of a release; default: the desired release")
    run.add_argument("--timeout", type=float, help="seconds; default: no limit")
    run.add_argument("--after-cutover", action="store_true", help="return at once; stored-secrets after the cutover")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="JOB ...", help="the job and its arguments")

    login = argparse.ArgumentParser(add_help=False)
    login.add_argument("--auth-database", default="", help="default: the one of the active slot")
    login.add_argument("--application-database", default="", help="default: the one of the active slot, if any")
    login.add_argument("--database-host", default="", help="another database server")
    login.add_argument("--database-ca", default="", help="CA certificate of that server, PEM")
    login.add_argument("--database-user", default="", help="another user, with the same password")
    login.add_argument("--session-options", default="", help="options of libpq for that user")

    schema = _group(commands, "schema", "job: compare, copy, migrate and restore the databases")
    for name, text in (
        ("heads", "print the revisions in the databases and in the code, and whether the code knows them"),
        ("size", "print the bytes of the databases, and the used and allowed connections"),
        ("counts", "print the rows in the active and in the kept databases, and the upgrade that kept them"),
        ("copy", "keep the databases as NAME_before and put copies under their names"),
        ("restore", "give the kept databases their names again"),
        ("forget", "drop the kept databases"),
        ("migrate", "migrate both databases to the schema of the release"),
    ):
        parser = _command(schema, name, jobs.schema, text, parents=[login])
        parser.add_argument("--patience", type=float, default=60.0, help="seconds to retry while clients reconnect")
        if name in ("copy", "restore"):
            parser.add_argument("--id", default="", help="the upgrade that keeps the databases")
        if name == "restore":
            parser.add_argument("--keep-failed", action="store_true", help="keep the replaced ones as NAME_failed")
        if name == "migrate":
            parser.add_argument("--lock-timeout", type=float, default=10.0, help="seconds to wait for a lock")

    rows = _command(commands, "count-rows", jobs.count_rows, "job: count the rows of every table", parents=[login])
    rows.add_argument("--no-checksums", action="store_true", help="only count")
    rows.add_argument("--expected", default="", help="row counts of a backup, JSON; the result lists the differences")

    secrets = _group(commands, "stored-secrets", "job: re-encrypt webhook secrets and API keys of the AI gateway")
    text = "print which rows the keys of this VM decrypt"
    _command(secrets, "check", jobs.stored_secrets, text, parents=[login])
    text = "encrypt the rows of earlier keys with the keys in use"
    reencrypt = _command(secrets, "reencrypt", jobs.stored_secrets, text, parents=[login])
    text = "remove the secret of a webhook that no key decrypts, and disable the webhook"
    reencrypt.add_argument("--disable-unreadable-webhooks", action="store_true", help=text)
    reencrypt.add_argument("--cutover-from", default="", metavar="SOCKET", help="first wait for a cutover from it")
    reencrypt.add_argument("--timeout", type=float, default=900.0, help="seconds to wait for the cutover")

    _add_rotation(_group(commands, "rotate", "job: rotate the database users and the administrator password"), login)
    _add_gc(commands)


def _add_rotation(rotate: Any, login: argparse.ArgumentParser) -> None:
    user = argparse.ArgumentParser(add_help=False)
    user.add_argument("--user", required=True, help="the other login user")
    patience = argparse.ArgumentParser(add_help=False)
    patience.add_argument("--patience", type=float, default=120.0, help="seconds to wait for locks or sessions")
    text = "create the owner role, grant it to both users, and change the owner of the current user's objects"
    prepare = _command(rotate, "prepare", jobs.rotate, text, parents=[login, user, patience])
    prepare.add_argument("--owner", required=True, help="the role that owns all objects")
    prepare.add_argument("--dry-run", action="store_true", help="only report the planned changes")
    _command(rotate, "sessions", jobs.rotate, "count the sessions of a user", parents=[login, user])
    text = "end the sessions of a user, or wait for their end"
    _command(rotate, "end-sessions", jobs.rotate, text, parents=[login, user, patience])
    text = "set the password of MLflow's administrator to the one of the credential"
    _command(rotate, "administrator", jobs.rotate, text, parents=[login])


def _add_gc(commands: Any) -> None:
    text = "job: purge deleted runs, logged models and experiments"
    gc = _command(commands, "gc", jobs.gc, text)
    gc.add_argument("--check", action="store_true", help="only report the items that would be purged")
    gc.add_argument("--older-than", default="30d", help="time since the deletion, such as 30d or 1d12h")
    for kind in ("run", "experiment", "model"):
        gc.add_argument(f"--{kind}-id", action="append", default=[], dest=f"{kind}_ids", help=f"only this {kind}")
    gc.add_argument("--jobs", action="store_true", help="also records of finished background jobs")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="mlflowctl",
        description="Operate the MLflow tracking server of this VM.",
        epilog=f"Jobs run only in `mlflowctl run-job JOB ...`.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_server(commands)
    _add_cutover(commands)
    _add_jobs(commands)
    _add_units(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return the exit code."""
    options = parser().parse_args(arguments)
    # Jobs use MLflow, which prints to standard output.
    output = contextlib.redirect_stdout(sys.stderr) if options.command != "launch" else contextlib.nullcontext()
    try:
        if options.command in JOBS:
            # A clear message outside of a job.
            credentials.directory()
        with output:
            document, code = options.run(options)
    except FailedError as error:
        print(error, file=sys.stderr)
        return error.code
    except Exception as error:
        traceback.print_exc()
        print(one_line(error), file=sys.stderr)
        return ExitCode.FAILED
    if document is not None:
        print(json.dumps(document, indent=1 if sys.stdout.isatty() else None))
    return int(code)
