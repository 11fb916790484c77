"""Turn away, before any work, a series that its profile is not for, or whose pixels name somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.dicom.uids import sop_class_name
from deid_node.errors import BurnedInAnnotation, RegionNotCleaned, SOPClassNotAccepted
from deid_node.headers.pixel_regions import rectangles_of

if TYPE_CHECKING:
    from deid_node.dicom.series import Series
    from deid_node.headers.profile import Profile


def screen(series: Series, profile: Profile) -> None:
    """Hold a series that says of itself that text is burned into its pixels.

    Parameters
    ----------
    series : Series
        Instances that form one volume.
    profile : Profile
        Names the SOP Classes that it is for.

    Raises
    ------
    SOPClassNotAccepted
        If the profile does not accept the SOP Class of an instance.
    BurnedInAnnotation
        If Burned In Annotation (0028,0301) is YES in any instance. Absent counts as NO:
        the attribute is Type 3 in MR Image Storage and scanners seldom write it.
    RegionNotCleaned
        If the profile says of an instance where text is drawn into it: only `header_only`
        makes regions black; outside the face, defacing changes nothing.
    """
    for sop_class_uid in {str(each.SOPClassUID) for each in series.instances}:
        if not profile.accepts(sop_class_uid):
            raise SOPClassNotAccepted(sop_class=sop_class_name(sop_class_uid), profile=profile.name)
    n_instances = sum(
        str(each.get("BurnedInAnnotation", "")).strip().upper() == "YES"
        for each in series.instances
    )
    if n_instances:
        raise BurnedInAnnotation(n_instances=n_instances)
    n_matching = sum(bool(rectangles_of(each, profile.pixel_regions)) for each in series.instances)
    if n_matching:
        raise RegionNotCleaned(n_instances=n_matching)
