"""What the cloud has acknowledged, as its clients saw it: from then on it must not be lost."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A job as it was asked for, whether or not the answer came."""

    nodes: tuple[str, ...]
    ota_image_id: str


@dataclass
class Pace:
    """As fast as the cloud can: in each turn a node may say so much more, and a turn ends when the cloud has kept up.

    Without it Mosquitto would take a million messages for the cloud, and save and load them at each end and start.
    """

    turn: int = 0


@dataclass
class Ledger:
    """Filled by many threads; each only ever adds."""

    asked: dict[str, Asked] = field(default_factory=dict)  # by the job's name
    images: dict[str, str] = field(default_factory=dict)  # SHA-256 of what was uploaded, by id
    jobs: dict[str, str] = field(default_factory=dict)  # name, by id
    cancels: dict[str, None] = field(default_factory=dict)
    reports: dict[str, None] = field(default_factory=dict)  # got their PUBACK; each has a number of its own
    said: dict[str, int] = field(default_factory=dict)  # number of each node's latest report
    urls: list[tuple[str, str]] = field(default_factory=list)  # job and node of each otaurl that arrived
    complaints: list[str] = field(default_factory=list)  # answers that are no answer to a right request

    def snapshot(self) -> Ledger:
        """What is acknowledged at this moment."""
        return Ledger(
            self.asked.copy(),
            self.images.copy(),
            self.jobs.copy(),
            self.cancels.copy(),
            self.reports.copy(),
            self.said.copy(),
            self.urls.copy(),
            self.complaints.copy(),
        )

    def since(self, earlier: Ledger) -> Ledger:
        """What has been acknowledged since."""
        return Ledger(
            images={key: value for key, value in self.images.items() if key not in earlier.images},
            jobs={key: value for key, value in self.jobs.items() if key not in earlier.jobs},
            cancels={key: None for key in self.cancels if key not in earlier.cancels},
            reports={key: None for key in self.reports if key not in earlier.reports},
            urls=self.urls[len(earlier.urls) :],
        )
