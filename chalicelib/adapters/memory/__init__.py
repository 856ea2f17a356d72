"""The stores in memory: twins of the DynamoDB adapters, for tests and for nothing else.

They answer by the same contract (``tests/contract``). All stores of one deployment share one ``MemoryRows``,
as the real ones share their tables; its ``lag`` makes the two indexes as stale as real ones can be.
"""
