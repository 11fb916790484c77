"""``deid-node serve``: receive over DICOM, de-identify, send on."""

from __future__ import annotations

from deid_node.cli.options import ConfigOption, settings_from
from deid_node.cli.output import progress


def serve(config: ConfigOption = None) -> None:
    """Receive series over DICOM, de-identify them and send them on, until told to stop.

    Example: deid-node serve --config /etc/deid-node/deid-node.toml
    """
    from deid_node.node.service import Service

    settings = settings_from(config)
    service = Service(settings)
    node = settings.node
    if progress.is_terminal:  # else whoever reads the log expects nothing but JSON
        progress.print(
            f"{node.ae_title} on {node.bind}:{node.port}, {len(settings.destinations)} "
            "destinations; stop with Ctrl-C; the log follows, one line of JSON an event",
            markup=False,
            soft_wrap=True,
        )
    service.run()
