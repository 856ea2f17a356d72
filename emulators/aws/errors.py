"""Why a stack does not start. Whose file is wrong tells the kinds apart; each message names the place.

StackError
├── ProjectError    app.py, or what it declares
├── TemplateError   the CloudFormation template
├── PolicyError     a policy file
└── ScheduleError   a schedule's expression
"""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start; the message says why."""


class ProjectError(StackError):
    """The project cannot be served as it is."""


class TemplateError(StackError):
    """The template asks for something this stack cannot honour."""


class PolicyError(StackError):
    """A policy document that the gate cannot judge."""


class ScheduleError(StackError):
    """The expression is not one of EventBridge's, or uses what this stack does not compute."""
