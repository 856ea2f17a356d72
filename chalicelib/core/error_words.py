"""A sentence for each error code of a job, for where the story has no better words of its own."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.core.job import Job
from chalicelib.core.outputs import OUTPUT_WORDS

_WORDS: Mapping[str, str] = {
    **OUTPUT_WORDS,
    "alter_refused": "the site's scheduler would not change what it had been asked for",
    "canceled_by_admin": "an administrator of a collection canceled the transfer",
    "cancel_refused": "the site will not end this job; its scheduler may still have it",
    "deadline": "it was not done before its deadline",
    "dependency": "a job that it waited for did not end as it should",
    "hold_refused": "the site's scheduler would not hold the job",
    "release_refused": "the site's scheduler would not let go of the job",
    "gone": "the scheduler's job, which was to be held until its data was there, is not there any more",
    "lost": "the site lost sight of the job: its scheduler no longer knows it, and it left no exit code",
    "not_released": "the site's scheduler holds the job though its data is there, and does not let go of it",
    "no_space": "the destination stayed full for as long as a transfer may take",
    "output_incomplete": "fewer files arrived than the site had counted",
    "refused": "the site's own policy does not allow this job",
    "rejected": "the site's scheduler did not accept the job",
    "source_denied": "Globus may not read the source",
    "source_missing": "the source does not exist",
    "walltime": "the job ran longer than its walltime and was ended",
}


def words_of(job: Job) -> str:
    """What went wrong with a failed job."""
    if job.error == "exit_code":
        return "the job ended without an exit code" if job.exit_code is None else f"exit code {job.exit_code}"
    return _WORDS.get(job.error or "", f"Globus reported {(job.error or 'unknown').upper()}")
