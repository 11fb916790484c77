"""The running node: sockets, disk, time; the only place that imports pynetdicom."""

import logging

from pynetdicom import _config

# pynetdicom writes names and datasets of peers into its log lines, so none is let out.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
