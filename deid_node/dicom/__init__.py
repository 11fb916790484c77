"""What the standard says about a series: instances, geometry, pixels, segmentation."""
