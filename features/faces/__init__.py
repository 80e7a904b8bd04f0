"""Faces: found (`detect`), followed over time (`follow`), cut out and aligned (`crop`).

Data flow: frames > `FaceDetector` > `find_people` > `Person`s > `crop_faces` > pictures.
"""
