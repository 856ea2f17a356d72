"""The site agent: takes staged jobs from the service and runs them through the site's own scheduler.

It runs on a login node as the user or the project's account, only ever calls out, and obeys a local policy
that the service cannot change.

    wire       what travels in the one call (sync), as values
    policy     what this site lets the service do (pure)
    rules      what happens to a job next (pure)
    journal    what must survive a crash
    jobdir     a job's directory, by file descriptors, never following a link
    runscript  the script that the scheduler runs
    schedulers the site's scheduler, through PSI/J
    work       carries out what the rules say of each job
    orders     carries out what the service commands
    loop       sync, watch, submit; and what to do while the service is away
"""
