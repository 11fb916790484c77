"""How the default face model was made: targets, synthetic MR, training, export, evaluation.

Needs torch, dynamic-network-architectures, nibabel, SimpleITK, openvino and safetensors; the
project itself needs none of this. Run from ``tools``: ``python -m face_model.train --help``.
"""
