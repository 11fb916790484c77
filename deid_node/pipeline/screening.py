"""Turn away, before any work, a series whose pixels could name the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.errors import BurnedInAnnotation

if TYPE_CHECKING:
    from deid_node.dicom.series import Series


def screen(series: Series) -> None:
    """Hold a series that says of itself that text is burned into its pixels.

    Parameters
    ----------
    series : Series
        Instances that form one volume.

    Raises
    ------
    BurnedInAnnotation
        If Burned In Annotation (0028,0301) is YES in any instance. Absent counts as NO:
        the attribute is Type 3 in MR Image Storage and scanners seldom write it.
    """
    n_instances = sum(
        str(each.get("BurnedInAnnotation", "")).strip().upper() == "YES"
        for each in series.instances
    )
    if n_instances:
        raise BurnedInAnnotation(n_instances=n_instances)
