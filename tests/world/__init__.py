"""Real servers for tests: every one in the network namespace that tests/world/enter.sh made."""
