"""Faces: found (`detect`), followed over time (`tracker`), cut out (`alignment`).

Data flow: frames > `FaceDetector`, `find_faces` > `crop_faces` > `looks_of` > `Follower` > people.
"""
