"""Faces: found (`detect`), followed over time (`follow`), cut out and aligned (`crop`).

Data flow: frames > `FaceDetector`, `find_faces` > `crop_faces` > `looks_of` > `Follower` > people.
"""
