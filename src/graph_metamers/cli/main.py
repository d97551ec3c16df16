"""The command `graph-metamers`: its verbs, its exit codes, and one line for every mistake."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

import graph_metamers as gm
from graph_metamers.cli.auditing import audit
from graph_metamers.cli.demo import demo
from graph_metamers.cli.generating import generate
from graph_metamers.cli.grouping import verb
from graph_metamers.cli.inspecting import check, layers
from graph_metamers.cli.listing import datasets, models
from graph_metamers.cli.reporting import report
from graph_metamers.cli.selftesting import selftest
from graph_metamers.cli.studying import study_app
from graph_metamers.cli.training import train
from graph_metamers.errors import GraphMetamersError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "graph-metamers"
DONE, FAILED, MENDABLE, INTERRUPTED = 0, 1, 2, 130

# typer brings its own copy of click from one version on, so its base class has no public name.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in (demo, datasets, models, train, layers, check, generate, audit, report, selftest):
    app.command()(verb(function))
app.add_typer(study_app, name="study")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Shows what a trained graph neural network cannot see: model metamers of graphs.

    Begin with `graph-metamers demo`.

    Exit codes: 0 done; 1 the run failed, found no metamer, or missed a self-test; 2 something you can mend;
    130 interrupted.
    """
    if version:
        typer.echo(gm.__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Without the program's name; default: those of this process.

    Returns
    -------
    int
        0 done; 1 the run failed, or a gate was not met; 2 something the user can mend; 130 interrupted.
    """
    # How long idle threads spin before they sleep. With the default, small tensors are up to 17 times slower
    # as soon as another program is busy; without any spinning they are 1.7 times slower on a quiet machine.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Linux: large tensors in large pages. With 10^6 nodes most of the time is spent on getting pages else.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        _invoke(sys.argv[1:] if arguments is None else list(arguments))
    except typer.Exit as end:
        return end.exit_code
    except (_UsageError, GraphMetamersError) as error:
        typer.echo(f"{PROGRAM}: error: {_one_line(error)}", err=True)
        return MENDABLE if isinstance(error, (_UsageError, UserError)) else FAILED
    except KeyboardInterrupt:
        typer.echo(f"{PROGRAM}: interrupted; nothing half-written is left behind", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout (`| head`) has gone; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DONE


def _invoke(arguments: list[str]) -> None:
    # Not `command.main`, which prints usage errors on several lines and takes Ctrl-C for itself.
    command = typer.main.get_command(app)
    with command.make_context(PROGRAM, arguments) as context:
        command.invoke(context)
    sys.stdout.flush()


def _one_line(error: Exception) -> str:
    """Say an error in one line of printable characters, whatever its message holds."""
    message = str(error)
    if isinstance(error, _UsageError):
        command = error.ctx.command_path if error.ctx else PROGRAM
        message = f"{error.format_message().rstrip('.')}. See '{command} --help'"
    printable = "".join(character if character.isprintable() else " " for character in message)
    return " ".join(printable.split())
