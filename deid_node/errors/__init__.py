"""Every error this package raises on purpose.

What it does with the work, the exit code of a command, what a person's word can do for a
series that it stopped (`Release`), and the status of a C-STORE:

* DeidNodeError
  + SettingsInvalid          stop      exit 78  again
    - ProfileInvalid         stop      exit 78  again
    - ForeignProfileUnreadable  stop   exit 78  again
    - KeyUnusable            stop      exit 78  again
    - SpoolKeyUnusable       stop      exit 78  again
  + WeightsUnusable          stop      exit 69  again
    - ModelUnknown           stop      exit 69  again
    - ModelNotExportable     stop      exit 69  again
  + ForeignModelRefused      stop      exit 65  again
  + InstanceRefused          refuse    exit 65  again
    - NotDicom               refuse    exit 65  again  C-STORE 0xC000
    - UndecodableInstance    refuse    exit 65  again  C-STORE 0xC000
    - UnsupportedSOPClass    hold      exit 65  again  C-STORE 0x0122
    - SOPClassNotAccepted    hold      exit 65  again  C-STORE 0x0122
  + SeriesHeld               hold      exit 65  again
    - TooFewSlices           hold      exit 65  again
    - UnevenSlices           hold      exit 65  again
    - DuplicatePosition      hold      exit 65  again
    - DuplicateInstance      hold      exit 65  again
    - LateInstances          hold      exit 65  again
    - OriginalsMissing       hold      exit 65  again
    - SeriesIncomplete       hold      exit 65  again
    - RefusedByPerson        hold      exit 65  again
    - MixedSeries            hold      exit 65  again
    - MissingAttribute       hold      exit 65  again
    - PixelsUnusable         hold      exit 65  again
    - BurnedInAnnotation     hold      exit 65  again
    - RegionNotCleaned       hold      exit 65  again
    - ImplausibleFaceMask    hold      exit 65  accept
    - ModelsDisagree         hold      exit 65  again
    - ModelStopped           hold      exit 65  again
    - ProcessDied            hold      exit 65  again
    - StageStuck             hold      exit 65  again
    - PixelsNotRestored      hold      exit 65  again
    - ResidualIdentifier     hold      exit 65  again
    - PatientNotInTable      hold      exit 65  again
    - InstanceThereAlready   hold      exit 65  retry
    - SpooledFileDamaged     hold      exit 65  again
  + DeliveryFailed           retry     exit 75  retry
    - PeerUnreachable        retry     exit 75  retry
    - PeerBusy               retry     exit 75  retry
    - NotCommitted           retry     exit 75  retry
    - PeerRefusedInstance    hold      exit 65  retry
    - NoCommonSyntax         hold      exit 65  retry
    - DeliveryGivenUp        hold      exit 65  retry
  + NoSuchSeries             stop      exit 64  again
  + WrongState               stop      exit 64  again
  + NotAcceptable            stop      exit 64  again
  + NotConfirmed             stop      exit 64  again
  + OutputUnwritable         stop      exit 74  again
  + AuditUnusable            retry     exit 74  again
  + CrosswalkUnusable        retry     exit 74  again
  + WorkerNotStarted         stop      exit 75  again
  + SpoolError               stop      exit 74  again
    - SpoolBusy              retry     exit 75  again  C-STORE 0xA700
    - SpoolFull              retry     exit 75  again  C-STORE 0xA700
    - SpoolUnwritable        retry     exit 75  again  C-STORE 0xA700

A message may hold counts, units, UIDs of standard classes, tags, keywords, names and
paths that the settings chose, and pseudonyms. It never holds the value of an element.
``tests/unit/test_errors.py`` keeps the tree above in step with the classes.
"""

from deid_node.errors.base import DeidNodeError, Disposition, Release
from deid_node.errors.edges import (
    AuditUnusable,
    CrosswalkUnusable,
    DeliveryFailed,
    DeliveryGivenUp,
    NoCommonSyntax,
    NoSuchSeries,
    NotAcceptable,
    NotCommitted,
    NotConfirmed,
    OutputUnwritable,
    PeerBusy,
    PeerRefusedInstance,
    PeerUnreachable,
    SpoolBusy,
    SpoolError,
    SpoolFull,
    SpoolUnwritable,
    WorkerNotStarted,
    WrongState,
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
    OriginalsMissing,
    PatientNotInTable,
    PixelsNotRestored,
    PixelsUnusable,
    ProcessDied,
    RefusedByPerson,
    RegionNotCleaned,
    ResidualIdentifier,
    SeriesHeld,
    SeriesIncomplete,
    SpooledFileDamaged,
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
    SpoolKeyUnusable,
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
    "NotAcceptable",
    "NotCommitted",
    "NotConfirmed",
    "NotDicom",
    "OriginalsMissing",
    "OutputUnwritable",
    "PatientNotInTable",
    "PeerBusy",
    "PeerRefusedInstance",
    "PeerUnreachable",
    "PixelsNotRestored",
    "PixelsUnusable",
    "ProcessDied",
    "ProfileInvalid",
    "RefusedByPerson",
    "RegionNotCleaned",
    "Release",
    "ResidualIdentifier",
    "SOPClassNotAccepted",
    "SeriesHeld",
    "SeriesIncomplete",
    "SettingsInvalid",
    "SpoolBusy",
    "SpoolError",
    "SpoolFull",
    "SpoolKeyUnusable",
    "SpoolUnwritable",
    "SpooledFileDamaged",
    "StageStuck",
    "TooFewSlices",
    "UndecodableInstance",
    "UnevenSlices",
    "UnsupportedSOPClass",
    "WeightsUnusable",
    "WorkerNotStarted",
    "WrongState",
]
