"""The option tables of Cobalt's commands, as data, in the order in which its help lists them.

A row says how an option is spelled and whether a value follows; what the value means is decided where the
command is parsed. ``--help`` and ``--version`` head every table; ``-h`` is not help, it is qsub's ``--held``.
"""

from __future__ import annotations

from qstage.cobalt.words import Option, Takes


def _row(names: str, dest: str, takes: Takes, help_line: str) -> Option:
    return Option(dest=dest, names=tuple(names.split()), takes=takes, help=help_line)


VERSION = _row("--version", "version", "nothing", "show program's version number and exit")
HELP = _row("--help", "help", "nothing", "show this help message and exit")
SHORT_HELP = _row("-h --help", "help", "nothing", "show this help message and exit")
DEBUG = _row("-d --debug", "debug", "nothing", "turn on communication debugging")

QSUB = (
    VERSION,
    HELP,
    DEBUG,
    _row("-v --verbose", "verbose", "nothing", "not used"),
    _row("-h --held", "user_hold", "nothing", "hold this job once submitted"),
    _row("--preemptable", "preemptable", "nothing", "make this job preemptable"),
    _row("--run_project", "run_project", "nothing", "set run project flag for this job"),
    _row("--disable_preboot", "disable_preboot", "nothing", "disable script preboot"),
    _row("-I --interactive", "interactive", "nothing", "run qsub in interactive mode"),
    _row("-n --nodecount", "nodes", "int", "set job node count"),
    _row("--proccount", "procs", "int", "set job proc count"),
    _row("-A --project", "project", "text", "set project name"),
    _row("--cwd", "cwd", "text", "set current working directory"),
    _row("-q --queue", "queue", "text", "set queue name"),
    _row("-M --notify", "notify", "text", "set notification email address"),
    _row("--env", "envs", "text", "set environment variables (VAR1=value1:VAR2=value2:...)"),
    _row("-t --time", "walltime", "text", "set walltime (minutes or HH:MM:SS). For max walltime enter 0."),
    _row("-u --umask", "umask", "text", "set umask: octal number default(022)"),
    _row("-O --outputprefix", "outputprefix", "text", "output prefix for error,output or debuglog files"),
    _row("-e --error", "errorpath", "text", "set error file path"),
    _row("-o --output", "outputpath", "text", "set output file path"),
    _row("-i --inputfile", "inputfile", "text", "set input file"),
    _row("--debuglog", "cobalt_log_file", "text", "set debug log path file"),
    _row("--dependencies", "dependencies", "text", "set job dependencies (jobid1:jobid2:...:jobidN)"),
    _row("--attrs", "attrs", "text", "set attributes (attr1=val1:attr2=val2:...:attrN=valN)"),
    _row("--user_list --run_users", "user_list", "text", "set user list (user1:user2:...:userN)"),
    _row("--jobname", "jobname", "text", "set the job's name; without it the -o option names the job"),
    _row("--kernel", "kernel", "text", "set a compute node kernel profile"),
    _row("-K --kerneloptions", "kerneloptions", "text", "set compute node kernel options"),
    _row("--ion_kernel", "ion_kernel", "text", "set an IO node kernel profile"),
    _row("--ion_kerneloptions", "ion_kerneloptions", "text", "set IO node kernel options"),
    _row("--mode", "mode", "text", "select system mode"),
    _row("--geometry", "geometry", "text", "set geometry (AxBxCxDxE)"),
)

QSTAT = (
    VERSION,
    SHORT_HELP,
    DEBUG,
    _row("-f --full", "full", "nothing", "show more verbose information"),
    _row("-l --long", "long", "nothing", "show job info in vertical format"),
    _row("-Q", "queues", "nothing", "show queues and properties"),
    _row("--reverse", "reverse", "nothing", "show output in reverse"),
    _row("--header", "header", "text", "specify custom header"),
    _row("--sort", "sort", "text", "sort output by specified attribute"),
    _row("-u --user", "user", "text", "Specify username"),
)

QDEL = (VERSION, SHORT_HELP, DEBUG)
QHOLD = (VERSION, SHORT_HELP, DEBUG)
QRLS = (
    VERSION,
    SHORT_HELP,
    DEBUG,
    _row("--dependencies", "dependencies", "nothing", "clear all job dependencies"),
)
QALTER = (
    VERSION,
    HELP,
    DEBUG,
    _row("-v --verbose", "verbose", "nothing", "not used"),
    _row("-h --held", "user_hold", "nothing", "hold jobs in args"),
    _row("--run_project", "run_project", "nothing", "set run project flag for jobids in args"),
    _row("--enable_preboot", "enable_preboot", "nothing", "enable script preboot"),
    _row("--disable_preboot", "disable_preboot", "nothing", "disable script preboot"),
    _row("--defer", "defer", "nothing", "defer jobs in args for current user"),
    _row("-n --nodecount", "nodes", "int", "modify job node count for jobs in args"),
    _row("--proccount", "procs", "int", "modify job proc count for jobs in args"),
    _row("-A --project", "project", "text", "modify project name for jobs in args"),
    _row("-M --notify", "notify", "text", "modify notification email address for jobs in args"),
    _row("-t --time", "walltime", "text", "modify walltime for jobs in args ([+/-]minutes or [+/-]HH:MM:SS)"),
    _row("-e --error", "errorpath", "text", "modify error file path for jobs in args"),
    _row("-o --output", "outputpath", "text", "modify output file path for jobs in args"),
    _row("--dependencies", "dependencies", "text", "for jobs in args (jobid1:jobid2:..)"),
    _row("--attrs", "attrs", "text", "modify attributes for jobs in args (attr1=val1:attr2=val2:...)"),
    _row("--run_users", "user_list", "text", "modify user list for jobs in args (user1:user2:...)"),
    _row("--mode", "mode", "text", "modify system mode for jobs in args"),
    _row("--geometry", "geometry", "text", "modify geometry for jobs in args (AxBxCxDxE)"),
)
QMOVE = (VERSION, SHORT_HELP, DEBUG)
QSELECT = (
    VERSION,
    HELP,
    DEBUG,
    _row("-v --verbose", "verbose", "nothing", "not used"),
    _row("-h --held", "state", "text", "Specify the state of the job"),
    _row("-n --nodecount", "nodes", "int", "select the jobs of this node count"),
    _row("-A --project", "project", "text", "select the jobs of this project"),
    _row("-t --time", "walltime", "text", "specify the runtime for the job - minutes or HH:MM:SS"),
    _row("-q --queue", "queue", "text", "select queue that the job resides"),
    _row("--mode", "mode", "text", "specify the job mode (co/vn)"),
)
