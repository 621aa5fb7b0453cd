"""An agent that must stay ONLINE, and a control that must stay small, whatever strangers do."""

import threading

# What control takes at most, whatever strangers do (docs/operations.md).
RSS_MIB_MAX = 256


class Watched:
    """Control and an agent whose session must not end."""

    def __init__(self, control, agent):
        self.control, self.agent = control, agent
        self.datasync = control.boto()
        self.failures = []
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._poll)

    def trust(self, bundle):
        """The API is called with these CAs from now on."""
        self.control.trusted = bundle
        self.datasync = self.control.boto()

    def _poll(self):
        while not self._done.wait(0.2):
            try:
                status = self.datasync.describe_agent(AgentArn=self.agent.arn)["Status"]
            except Exception as error:  # noqa: BLE001: whatever it is, the test fails with it
                status = repr(error)
            if status != "ONLINE":
                self.failures.append(status)

    def __enter__(self):
        self._watch.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._watch.join()

    def assert_unharmed(self):
        assert not self.failures
        assert self.control.server.alive()
        assert "agent's session ended" not in self.control.server.output()
        assert self.control.server.rss_peak_mib() < RSS_MIB_MAX
