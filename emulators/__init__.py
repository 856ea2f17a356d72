"""The outside world on one machine: Globus, Cobalt and AWS stand-ins that real clients drive. Never shipped to Lambda."""
