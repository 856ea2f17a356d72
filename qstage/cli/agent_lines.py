"""How a site's agent is kept running on a login node: lines for cron, scrontab and systemd. Pure."""

from __future__ import annotations

import shlex

_LINES = """\
On the login node: pip install 'qstage[agent]', keep the token in a file of mode 0600, and write {config}
(docs/sites.md has one to start from). Then let the agent run in one of these ways.

cron (crontab -e):
    */2 * * * * {once}

scrontab, where a site has it (scrontab -e):
    #SCRON --time=00:10:00
    */5 * * * * {once}

systemd, as ~/.config/systemd/user/qstage-{site}.service:
    [Unit]
    Description=qstage agent of {site}
    [Service]
    ExecStart={loop}
    Restart=on-failure
    RestartSec=30
    [Install]
    WantedBy=default.target
and: systemctl --user enable --now qstage-{site} && loginctl enable-linger

When it runs: qstage site test {site}
"""


def agent_lines(site: str, *, qstage: str, config: str) -> str:
    """The lines for a site. ``qstage`` is the command's path, ``config`` the agent's file, as a shell reads them."""
    command = f"{shlex.quote(qstage)} agent run --site {shlex.quote(site)} --config {config}"
    # systemd knows no ~; %h is the user's home.
    return _LINES.format(
        site=site,
        config=config,
        once=f"{command} --once --quiet",
        loop=command.replace("~/", "%h/"),
    )
