"""The service: everything that ships to Lambda.

Arrows point inward: core <- service <- api; adapters implement core.ports; wiring joins them.
"""
