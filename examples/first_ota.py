"""One OTA, start to end: a device boots 1.0.0, the cloud pushes 1.1.0, the device confirms itself."""

from __future__ import annotations

from py_esp_ota import Lab
from py_esp_ota.firmware import Firmware


def main() -> None:
    """Print what the cloud heard, and what runs now."""
    with Lab() as lab:
        lamp = lab.device("two_ota", firmware=Firmware("lamp", "1.0.0").to_bytes(), node_id="lamp1")
        lamp.power_on()
        reports = lab.run(lab.update(Firmware("lamp", "1.1.0").to_bytes(), name="lamp-1.1.0"))

    for report in reports["lamp1"]:
        print(f"{report['status']:<12} {report['additional_info']}")
    if lamp.report and lamp.report.partition and lamp.running:
        print(f"running {lamp.running.version} from {lamp.report.partition.label}, {lamp.state}")


if __name__ == "__main__":
    main()
