"""Every error this package raises on purpose.

* DeidNodeError
  + SettingsInvalid          stop      exit 78
    - ProfileInvalid         stop      exit 78
    - ForeignProfileUnreadable  stop   exit 78
    - KeyUnusable            stop      exit 78
  + WeightsUnusable          stop      exit 69
    - ModelUnknown           stop      exit 69
    - ModelNotExportable     stop      exit 69
  + ForeignModelRefused      stop      exit 65
  + InstanceRefused          refuse    exit 65
    - NotDicom               refuse    exit 65    C-STORE 0xC000
    - UndecodableInstance    refuse    exit 65    C-STORE 0xC000
    - UnsupportedSOPClass    hold      exit 65    C-STORE 0x0122
    - SOPClassNotAccepted    hold      exit 65    C-STORE 0x0122
  + SeriesHeld               hold      exit 65
    - TooFewSlices           hold      exit 65
    - UnevenSlices           hold      exit 65
    - DuplicatePosition      hold      exit 65
    - DuplicateInstance      hold      exit 65
    - LateInstances          hold      exit 65
    - MixedSeries            hold      exit 65
    - MissingAttribute       hold      exit 65
    - PixelsUnusable         hold      exit 65
    - BurnedInAnnotation     hold      exit 65
    - RegionNotCleaned       hold      exit 65
    - ImplausibleFaceMask    hold      exit 65
    - ModelsDisagree         hold      exit 65
    - ModelStopped           hold      exit 65
    - ProcessDied            hold      exit 65
    - StageStuck             hold      exit 75
    - PixelsNotRestored      hold      exit 65
    - ResidualIdentifier     hold      exit 65
    - PatientNotInTable      hold      exit 65
    - InstanceThereAlready   hold      exit 65
  + DeliveryFailed           retry     exit 75
    - PeerUnreachable        retry     exit 75
    - PeerBusy               retry     exit 75
    - NotCommitted           retry     exit 75
    - PeerRefusedInstance    hold      exit 65
    - NoCommonSyntax         hold      exit 65
    - DeliveryGivenUp        hold      exit 65
  + NoSuchSeries             stop      exit 64
  + OutputUnwritable         stop      exit 74
  + AuditUnusable            retry     exit 74
  + CrosswalkUnusable        retry     exit 74
  + SpoolError               stop      exit 74
    - SpoolFull              retry     exit 75    C-STORE 0xA700

A message may hold counts, units, UIDs of standard classes, tags, keywords, names and
paths that the settings chose, and pseudonyms. It never holds the value of an element.
``tests/unit/test_errors.py`` keeps the tree above in step with the classes.
"""

from deid_node.errors.base import DeidNodeError, Disposition
from deid_node.errors.edges import (
    AuditUnusable,
    CrosswalkUnusable,
    DeliveryFailed,
    DeliveryGivenUp,
    NoCommonSyntax,
    NoSuchSeries,
    NotCommitted,
    OutputUnwritable,
    PeerBusy,
    PeerRefusedInstance,
    PeerUnreachable,
    SpoolError,
    SpoolFull,
)
from deid_node.errors.instances import (
    InstanceRefused,
    NotDicom,
    SOPClassNotAccepted,
    UndecodableInstance,
    UnsupportedSOPClass,
)
from deid_node.errors.series import (
    BurnedInAnnotation,
    DuplicateInstance,
    DuplicatePosition,
    ImplausibleFaceMask,
    InstanceThereAlready,
    LateInstances,
    MissingAttribute,
    MixedSeries,
    ModelsDisagree,
    ModelStopped,
    PatientNotInTable,
    PixelsNotRestored,
    PixelsUnusable,
    ProcessDied,
    RegionNotCleaned,
    ResidualIdentifier,
    SeriesHeld,
    StageStuck,
    TooFewSlices,
    UnevenSlices,
)
from deid_node.errors.setup import (
    ForeignModelRefused,
    ForeignProfileUnreadable,
    KeyUnusable,
    ModelNotExportable,
    ModelUnknown,
    ProfileInvalid,
    SettingsInvalid,
    WeightsUnusable,
)

__all__ = [
    "AuditUnusable",
    "BurnedInAnnotation",
    "CrosswalkUnusable",
    "DeidNodeError",
    "DeliveryFailed",
    "DeliveryGivenUp",
    "Disposition",
    "DuplicateInstance",
    "DuplicatePosition",
    "ForeignModelRefused",
    "ForeignProfileUnreadable",
    "ImplausibleFaceMask",
    "InstanceRefused",
    "InstanceThereAlready",
    "KeyUnusable",
    "LateInstances",
    "MissingAttribute",
    "MixedSeries",
    "ModelNotExportable",
    "ModelStopped",
    "ModelUnknown",
    "ModelsDisagree",
    "NoCommonSyntax",
    "NoSuchSeries",
    "NotCommitted",
    "NotDicom",
    "OutputUnwritable",
    "PatientNotInTable",
    "PeerBusy",
    "PeerRefusedInstance",
    "PeerUnreachable",
    "PixelsNotRestored",
    "PixelsUnusable",
    "ProcessDied",
    "ProfileInvalid",
    "RegionNotCleaned",
    "ResidualIdentifier",
    "SOPClassNotAccepted",
    "SeriesHeld",
    "SettingsInvalid",
    "SpoolError",
    "SpoolFull",
    "StageStuck",
    "TooFewSlices",
    "UndecodableInstance",
    "UnevenSlices",
    "UnsupportedSOPClass",
    "WeightsUnusable",
]
