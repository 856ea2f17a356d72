"""The stores in DynamoDB: the tables ``jobs`` and ``places`` of ``infra/template.json``.

``table`` holds every call to DynamoDB. The ``*_items`` modules turn records into items and back, each kind in one
place. The others implement the ports of ``core`` and hold the conditions under which a write may take place, each
with its reason. All reads are strongly consistent but those of the two indexes; there are no scans.

    jobs     user (S) + sk (S)            what                                        written by
             J#<number>                   a job's status                              jobs, postings
             D#<number>#<revision>        a document, as it was sent                  postings
             T#<number>#<version>         a tale: the words of one version            jobs
             DESK                         the desk                                    desks, postings, jobs
             I#<id>                       an inbox item                               desks, postings, jobs
             B#<id>                       a frozen batch                              batches
             P#<key>                      a posting                                   postings
             O#<digest>                   which job writes to an output's target      postings
      wake   wake_shard (S) + wake_due (N)       sparse: desks that want a look
      site   site_bucket (S) + site_due (S)      sparse: jobs that a site has to do with (core.site_queue)
    places   kind (S) + id (S)            a site, or what is known of a collection    places

Moments are whole microseconds since 1970. ``expires`` (seconds) is the attribute by which DynamoDB tidies up.
"""
