"""Scripts of other schedulers' users: their own directives, as parts of a job document. Pure.

    wanted   what a script asks for, and the document made of it
    lines    which lines of a script are directives
    slurm    #SBATCH
    pbs      #PBS

What has a place in a document goes there, what is only the scheduler's goes on as a custom attribute under the
scheduler's name, and what can be neither is refused. Nothing is ignored.
"""
